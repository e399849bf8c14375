#!/bin/bash
# Draws what bench-growth.sh and bench-large.sh printed; needs gnuplot.
#
#     plot-growth.sh growth.txt large.txt OUT.svg
set -euo pipefail
[ $# = 3 ] || { echo "usage: plot-growth.sh growth.txt large.txt OUT.svg" >&2; exit 1; }
gnuplot -e "growth='$1'; large='$2'; out='$3'" - <<'GNUPLOT'
set terminal svg size 900,640 font 'sans-serif,12' background 'white'
set output out
set multiplot layout 2,3 margins 0.08,0.98,0.09,0.93 spacing 0.09,0.16
set grid lc '#dddddd'
set key top left
set yrange [0:*]
set style data linespoints
set style line 1 lc '#0b5394' lw 2 pt 7 ps 0.4
set style line 2 lc '#cc6600' lw 2 pt 7 ps 0.4
set xlabel 'machines in the engram'
set title 'size, GB'
plot growth using 1:($2/1e9) ls 2 title 'disks', '' using 1:($3/1e9) ls 1 title 'engram'
set title 'seconds to add one'
plot growth using 1:4 ls 1 title 'wall', '' using 1:5 ls 2 title 'CPU'
set title 'peak memory of adding one, MiB'
plot growth using 1:($6/1024) ls 1 notitle
set logscale x 4
set xlabel 'GiB of data in one disk'
set title 'size, GB'
plot large using 1:($2/1e9) ls 1 title 'engram'
set title 'seconds per GiB'
plot large using 1:($3/$1) ls 1 title 'wall', '' using 1:($4/$1) ls 2 title 'CPU'
set title 'peak memory, MiB'
plot large using 1:($5/1024) ls 1 notitle
GNUPLOT
