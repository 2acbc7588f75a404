#!/usr/bin/env bash
# Writes a strict Content-Security-Policy into the page that trunk has just built: nothing but the page's own files, and of scripts
# in the page only those that stand there now, by their hashes. Trunk runs it after every build.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

page="${TRUNK_STAGING_DIR:?trunk says where the page is}/index.html"
mark='<!-- policy -->'
# Browsers hash what they read, in which lines end in a line feed alone.
html=$(<"$page")
html=${html//$'\r'/}
[[ $html == *"$mark"* ]] \
  || fail "index.html has no place for its Content-Security-Policy: put '$mark' first into its head, and build without --minify."

hashes=
has_source='[[:space:]]src[[:space:]]*='
rest=$html
while [[ $rest == *"<script"* ]]; do
  rest=${rest#*<script}
  tag=${rest%%>*}
  body=${rest#*>}
  body=${body%%</script>*}
  if ! [[ $tag =~ $has_source ]]; then
    hash=$(printf '%s' "$body" | integrity)
    hashes+=" '$hash'"
  fi
done

policy="default-src 'none'; script-src 'self' 'wasm-unsafe-eval'$hashes; worker-src 'self'; connect-src 'self'; style-src 'self'"
policy+="; img-src 'self' blob: data:; manifest-src 'self'; base-uri 'none'; form-action 'none'"
meta="<meta http-equiv=\"Content-Security-Policy\" content=\"$policy\">"
printf '%s%s%s\n' "${html%%"$mark"*}" "$meta" "${html#*"$mark"}" > "$page.aside"
mv "$page.aside" "$page"
