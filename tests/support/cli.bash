# Shell tests source this: the programs, a folder of their own, and checks that say what failed.
#   BITPILOT_BIN     folder of the programs       BITPILOT_SOURCE  the source tree
#   BITPILOT_SANITIZE  sanitizers that the programs are built with: they need memory and time of their own
set -u
bitpilot=$BITPILOT_BIN/bitpilot
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
failures=0
unset BITPILOT_EXEC_PATH
export XDG_CACHE_HOME=$folder/cache

fail() {
  echo "FAILED: $*" >&2
  failures=$((failures + 1))
}

# expect CODE WHAT COMMAND...: runs it; its output stands in $folder/out and $folder/err.
expect() {
  local code=$1 what=$2 got=0
  shift 2
  "$@" >"$folder/out" 2>"$folder/err" </dev/null || got=$?
  if [ "$got" != "$code" ]; then
    fail "$what: exit code $got instead of $code from: $*"
    head -5 "$folder/err" >&2
  fi
}

# says FILE TEXT WHAT: FILE ("out", "err" or a path) holds TEXT.
says() {
  local file=$1
  [ -e "$file" ] || file=$folder/$1
  grep -qF -- "$2" "$file" || { fail "$3: no \"$2\" in $1:"; head -5 "$file" >&2; }
}

# equal GOT EXPECTED WHAT
equal() { [ "$1" = "$2" ] || fail "$3: \"$1\" instead of \"$2\""; }

# records FILE TEXT: FILE holds whole records that fit their schema and agree with each other; TEXT is their count.
records() {
  local got
  got=$("$BITPILOT_BIN/check_records" decisions "$1" 2>&1) || { fail "$got"; return; }
  equal "$got" "$2" "records of $1"
}

# An error is one message of three lines: what, where, how to mend it.
well_formed_error() {
  [ "$(grep -c '^error: ' "$folder/err")" = 1 ] && grep -q '^  where: ' "$folder/err" && grep -q '^  fix: ' "$folder/err" ||
    { fail "$1: no message of what, where and fix:"; head -5 "$folder/err" >&2; }
}

# wait_until SECONDS COMMAND...: polls; false if it never comes true.
wait_until() {
  local tries=$(($1 * 20))
  shift
  while ! "$@" 2>/dev/null; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || return 1
    sleep 0.05
  done
}

# picture FILE [VALUE]: a small gray picture.
picture() {
  mkdir -p "$(dirname "$1")"
  { printf 'P5 16 16 255\n'; for _ in $(seq 16); do printf "%b" "\\x$(printf %02x "$((${2:-7} % 256))")abcdefgh1234567"; done; } >"$1"
}

# doubled FOLDER TIMES: doubles the pictures of a folder so many times (links, in subfolders).
doubled() {
  local i
  for i in $(seq "$2"); do
    cp -rl "$1" "$1.copy"
    mv "$1.copy" "$1/copy$i"
  done
}

sanitized() { [ -n "${BITPILOT_SANITIZE:-}" ]; }

model() { "$BITPILOT_BIN/make_random_model" "$folder/model.safetensors" || fail "no model"; }

finish() {
  [ "$failures" = 0 ] || { echo "$failures checks failed" >&2; exit 1; }
  echo "all checks passed"
}
