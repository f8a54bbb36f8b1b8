#!/bin/sh
# Every night at 3:10, from cron: 10 3 * * * /home/rig/rig/nightly.sh
# All boards of boards.toml, all tests; a new seed each night, so that downloads are cut elsewhere.
# What came of it is in results/DATE; a line for each board goes to results/summary.txt, and by mail where one is not fine.
set -u
cd "$(dirname "$0")" || exit 3
. ./venv/bin/activate
. ./secrets.env # OTACTL_HIL_SSID and OTACTL_HIL_PASSWORD, exported; mode 600

out=results/$(date +%F)
otactl hil all --all --seed "$(date +%Y%m%d)" --out "$out" >"$out.log" 2>&1
code=$?
cp "$out/summary.txt" results/summary.txt
if [ "$code" -ne 0 ]; then
    mail -s "HIL: $(tr '\n' ';' <"$out/summary.txt")" rig@example.org <"$out.log"
fi
exit "$code"
