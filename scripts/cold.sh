#!/usr/bin/env bash
# Runs `make web` to its first answer and then `make test`, as on a machine that has Rust and nothing of this project: in a fresh clone of
# the last commit, with an empty HOME and empty folders for cargo, tools and build products, all of which go away again. Packages that the
# system's package manager brings stay, and those that are there are not brought anew. Prints the minutes of each phase.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

need_rust
have git || fail "there is no git: install it, then start again."
[ -z "$(git -C "$ROOT" status --porcelain)" ] || say "What is not committed is left out"

work=$(mktemp -d) || fail "no temporary folder could be made: is the disk full?"
server=
clean() {
  [ -z "$server" ] || kill -- "-$server" 2>/dev/null || true
  rm -rf "$work"
}
trap clean EXIT
trap 'exit 130' INT TERM

git clone --quiet "$ROOT" "$work/chrysalis" || fail "git could not clone $ROOT."
mkdir "$work/home"
cargo_home=${CARGO_HOME:-$HOME/.cargo}
mkdir "$work/cargo"
# Where crates come from is the machine's business, as rustup's toolchains are; what was fetched and built is not.
for name in config.toml config; do
  [ ! -f "$cargo_home/$name" ] || cp "$cargo_home/$name" "$work/cargo/"
done
[ ! -f "$HOME/.npmrc" ] || cp "$HOME/.npmrc" "$work/home/"
toolchain=$(dirname "$(command -v cargo)")
port=$((20000 + RANDOM % 20000))

# fresh COMMAND…: in the clone, in an environment that knows nothing of what this machine has built before.
fresh() {
  cd "$work/chrysalis" && env -u CARGO_TARGET_DIR -u CHRYSALIS_TOOLS -u XDG_CACHE_HOME HOME="$work/home" CARGO_HOME="$work/cargo" \
    RUSTUP_HOME="${RUSTUP_HOME:-$HOME/.rustup}" PATH="$toolchain:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin" PORT="$port" \
    CHRYSALIS_PHASES="$work/$phases" "$@"
}

# minutes FILE END: a row for each phase in FILE, and one for all of them.
minutes() {
  awk -F '\t' -v end="$2" '
    function row(name, seconds) { if (seconds >= 3) printf "| %s | %.1f |\n", name, seconds / 60 }
    NR > 1 { row(name, $1 - began) }
    NR == 1 { first = $1 }
    { began = $1; name = $2; sub(/ \([^)]*\)$/, "", name) }
    END { row(name, end - began); row("**together**", end - first) }' "$work/$1"
}

phases='web'
printf '%s\t%s\n' "$(date +%s)" "Starting" > "$work/web"
set -m # a process group of its own, so that trunk ends with make
(fresh make web) &
server=$!
set +m
until (exec 3<>"/dev/tcp/127.0.0.1/$port" && printf 'GET / HTTP/1.0\r\n\r\n' >&3 && grep -q '^HTTP/1.. 200' <&3) 2>/dev/null; do
  kill -0 "$server" 2>/dev/null || fail "'make web' ended before it served the page: see the lines above."
  sleep 2
done
web_end=$(date +%s)
kill -- "-$server" 2>/dev/null || true
wait "$server" 2>/dev/null || true
server=

phases='test'
printf '%s\t%s\n' "$(date +%s)" "Starting" > "$work/test"
(fresh make test) || fail "'make test' failed: see the lines above."
test_end=$(date +%s)

printf '\n| make web, to its first answer | minutes |\n|---|---|\n'
minutes web "$web_end"
printf '\n| make test, after make web | minutes |\n|---|---|\n'
minutes test "$test_end"
