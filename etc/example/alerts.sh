# Judges each line of `busy`, draws it, and acknowledges it with an empty line on stderr.
#
# Until the acknowledgement the event is the supervisor's: if this program is killed before it, the event is given again to the next one.
# So the result is written first and acknowledged after.  Any other line on stderr is a message, kept in the task's error log.

bar() {  # ten places for 0 to 100 per cent
    bar= place=10
    while test "$place" -le 100; do
        if test "$1" -ge "$place"; then bar="$bar#"; else bar="$bar."; fi
        place=$((place + 10))
    done
}

high_for=0
set -f  # an event is text, not a pattern for file names

while read -r event; do
    # Words of `14:03:07 cpu 37 load 0.52 memory 41 switches 1234 forks 12`; what somebody put by hand has other ones.
    set -- $event
    if test $# -eq 11 && test "$2" = cpu; then
        time=$1 cpu=$3 load=$5 memory=$7 switches=$9
        shift 9
        forks=$2
        if test "$cpu" -ge "${CPU_HIGH:-80}" || test "$memory" -ge "${MEMORY_HIGH:-90}"; then
            high_for=$((high_for + 1))
            verdict="HIGH for $high_for s"
        elif test "$high_for" -gt 0; then
            verdict="calm again after $high_for s"
            high_for=0
        else
            verdict=calm
        fi
        bar "$cpu"
        printf '%s  cpu %s %3d %%  memory %3d %%  load %5s  %6d switches/s  %4d forks/s  %s\n' \
            "$time" "$bar" "$cpu" "$memory" "$load" "$switches" "$forks" "$verdict"
    else
        printf '%s\n' "$event"
    fi
    echo >&2  # the acknowledgement
done
