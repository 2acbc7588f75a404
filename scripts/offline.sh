#!/usr/bin/env bash
# Lets the page that trunk has just built for a static host open without a network: writes its service worker, which knows the
# SHA-256 of every file, and tells the page of it. Trunk runs it after every build, last. While somebody works on the page, with
# a build that is not for release, there is none: it would show what was built before.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

[ "${TRUNK_PROFILE:-}" = release ] || exit 0
cd "${TRUNK_STAGING_DIR:?trunk says where the page is}"
mark='<!-- offline -->'
html=$(<index.html)
said='<meta name="chrysalis-offline" content="offline.js">'
if [[ $html != *"$said"* ]]; then
  [[ $html == *"$mark"* ]] || fail "index.html has no place to say that it can be used off line: put '$mark' into its head."
  printf '%s%s%s\n' "${html%%"$mark"*}" "$said" "${html#*"$mark"}" > index.html.aside
  mv index.html.aside index.html
fi

files=
build=
# All but what other people's pages import.
while IFS= read -r path; do
  path=${path#./}
  # Names that a script can hold between quotes, as all are that trunk makes.
  [[ $path =~ ^[A-Za-z0-9._/-]+$ ]] || fail "$path in the built page has a name with other than letters, digits and ._/-: give it another."
  hash=$(integrity < "$path")
  files+="\"$path\": \"$hash\", "
  build+="$path $hash "
done < <(find . -type f ! -name offline.js ! -path './embed*' ! -name 'chrysalis.*' ! -path './examples/*' ! -name package.json ! -name '*.md' \
  | LC_ALL=C sort)
build=$(printf '%s' "$build" | integrity)

script=$(<"$ROOT/www/offline.js")
script="${script%%'/* files */'*}${files%, }${script#*'/* files */'}"
script="${script%%'/* build */'*}${build}${script#*'/* build */'}"
printf '%s\n' "$script" > offline.js.aside
mv offline.js.aside offline.js
