#!/usr/bin/env bash
# Writes a strict Content-Security-Policy into the page that trunk has just built: nothing but the page's own files, and of scripts
# in the page only those that stand there now, by their hashes. Trunk runs it after every build.
set -euo pipefail

page="${TRUNK_STAGING_DIR:?trunk says where the page is}/index.html"
html=$(<"$page")

hashes=
rest=$html
while [[ $rest == *"<script"* ]]; do
  rest=${rest#*<script}
  tag=${rest%%>*}
  body=${rest#*>}
  body=${body%%</script>*}
  if [[ $tag != *" src="* ]]; then
    # The digest as bytes, without tools that not every machine has.
    hex=$(printf '%s' "$body" | sha256sum)
    # shellcheck disable=SC2059 # the escapes are the message
    hash=$(printf "$(sed 's/../\\x&/g' <<<"${hex%% *}")" | base64)
    hashes+=" 'sha256-$hash'"
  fi
done

policy="default-src 'none'; script-src 'self' 'wasm-unsafe-eval'$hashes; worker-src 'self'; connect-src 'self'; style-src 'self'"
policy+="; img-src 'self' blob: data:; manifest-src 'self'; base-uri 'none'; form-action 'none'"
meta="<meta http-equiv=\"Content-Security-Policy\" content=\"$policy\">"
if [[ $html != *"<!-- policy -->"* ]]; then
  echo "index.html has no place for its Content-Security-Policy: put '<!-- policy -->' first into its head." >&2
  exit 1
fi
printf '%s\n' "${html/<!-- policy -->/$meta}" > "$page.aside"
mv "$page.aside" "$page"
