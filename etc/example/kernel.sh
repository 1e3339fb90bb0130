# Prints what the kernel counts, once a second, one counter a line: TIME NAME VALUE.  `forks` comes last.
#
# A source needs no more than this: write lines to stdout.  An awk that ends each second has nothing left in a buffer.

while :; do
    awk -v time="$(date +%H:%M:%S)" '
        function counter(name, value) { print time, name, value }
        FILENAME == "/proc/loadavg" { counter("load", $1) }
        FILENAME == "/proc/meminfo" && $1 == "MemTotal:" { total = $2 }
        FILENAME == "/proc/meminfo" && $1 == "MemAvailable:" { counter("memory.total", total); counter("memory.available", $2) }
        $1 == "cpu" { counter("cpu.idle", $5 + $6); counter("cpu.total", $2 + $3 + $4 + $5 + $6 + $7 + $8 + $9) }
        $1 == "ctxt" { counter("switches", $2) }
        $1 == "processes" { forks = $2 }
        END { counter("forks", forks) }
    ' /proc/loadavg /proc/meminfo /proc/stat
    sleep 1
done
