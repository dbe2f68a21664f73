#!/bin/sh
# Gets the browser for tests/ui where it is missing and this user may install it. Fails where there is none then.
for browser in chromium chromium-browser google-chrome; do
    if command -v $browser >/dev/null; then exit 0; fi
done
if [ "$(id -u)" = 0 ] && [ -e /etc/debian_version ]; then
    echo "installing chromium for tests/ui"
    log=$(mktemp)
    { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends chromium; } \
        >"$log" 2>&1 && exit 0
    tail -n 5 "$log"
fi
echo "there is no chromium, chromium-browser or google-chrome: tests/ui will be skipped; install chromium to run them"
exit 1
