# Turns counters into rates: reads `TIME NAME VALUE`, prints one line each time `forks`, the last counter of a second, has come.
#
#   14:03:07 cpu 37 load 0.52 memory 41 switches 1234 forks 12
#
# The shell's `read` takes no byte more than a line, and `echo` holds none back.  A filter in another language must flush after each line
# (awk: fflush(); Python: print(..., flush=True)) and must not wait for a full buffer (mawk: -W interactive).

known=

while read -r time name value; do
    case $name in
        load) load=$value ;;
        memory.total) memory_total=$value ;;
        memory.available) memory_available=$value ;;
        cpu.idle) idle=$value ;;
        cpu.total) total=$value ;;
        switches) switches=$value ;;
        forks)
            # After a restart the first second may have begun before us: speak only when every counter was seen.
            test -n "$load" && test -n "$memory_total" && test -n "$memory_available" && test -n "$idle" && test -n "$total" && test -n "$switches" || continue
            ticks=$((total - ${total_before:-0}))
            if test -n "$known" && test "$ticks" -gt 0; then
                cpu=$((100 - 100 * (idle - idle_before) / ticks))
                memory=$((100 - 100 * memory_available / memory_total))
                echo "$time cpu $cpu load $load memory $memory switches $((switches - switches_before)) forks $((value - forks_before))"
            fi
            known=yes idle_before=$idle total_before=$total switches_before=$switches forks_before=$value
            ;;
    esac
done
