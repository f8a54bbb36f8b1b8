#!/bin/sh
# Every night at 3:10, from cron: 10 3 * * * /home/rig/rig/nightly.sh
# Beside it: boards.toml, venv with micropython-ota-agent[hil], secrets.env with OTACTL_HIL_SSID and OTACTL_HIL_PASSWORD,
# exported; mode 600.
# All boards of boards.toml, all tests; a new seed each night, so that downloads are cut elsewhere.
# What came of it is in results/DATE; a line for each board goes to results/summary.txt, and by mail where one is not fine.
set -u
cd "$(dirname "$0")" || exit 3
. ./venv/bin/activate
. ./secrets.env

out=results/$(date +%F)
mkdir -p "$out"
rm -f "$out/summary.txt" # of a run before, on the same day
otactl hil all --all --seed "$(date +%Y%m%d)" --out "$out" >"$out/otactl.log" 2>&1
code=$?
[ -e "$out/summary.txt" ] || tail -n 1 "$out/otactl.log" >"$out/summary.txt" # it did not come as far as a board
cp "$out/summary.txt" results/summary.txt
if [ "$code" -ne 0 ]; then
    mail -s "HIL: $(tr '\n' ';' <"$out/summary.txt")" rig@example.org <"$out/otactl.log"
fi
exit "$code"
