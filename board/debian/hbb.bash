# shellcheck shell=bash
# Completion of hbb(1) for bash.

_hbb_flags() {
  case $1 in
    serve | check) echo "
      --data --flags --control --bind --port --relay-port --single-port --console --trusted-proxies
      --relay-servers --key --mask --local-ip --always-use-relay --role --public --max-peers
      --max-connections --max-sessions --registrations-per-minute --new-peers-per-day
      --relay-threads --dscp --total-bandwidth --single-bandwidth --limit-speed
      --downgrade-threshold --downgrade-start-check --log-level --help" ;;
    keygen) echo "
      --data --print --force --help" ;;
    export) echo "
      --host --port --relay --api --format --data --flags --help" ;;
    ctl) echo "
      --control --data --flags --json --help status peers sessions disconnect forget ban unban
      bans limits reload" ;;
    *) echo "serve keygen export check ctl --version --help" ;;
  esac
}

_hbb() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} command=''
  ((COMP_CWORD == 1)) || command=${COMP_WORDS[1]}
  case $command:$before in
    *:--data) mapfile -t COMPREPLY < <(compgen -d -- "$word") ;;
    *:--flags | *:--control) mapfile -t COMPREPLY < <(compgen -f -- "$word") ;;
    *:--role) mapfile -t COMPREPLY < <(compgen -W "all rendezvous relay" -- "$word") ;;
    *:--log-level) mapfile -t COMPREPLY < <(compgen -W "error warn info debug" -- "$word") ;;
    export:--format)
      mapfile -t COMPREPLY < <(compgen -W "text string qr exe toml json" -- "$word")
      ;;
    *) mapfile -t COMPREPLY < <(compgen -W "$(_hbb_flags "$command")" -- "$word") ;;
  esac
}

complete -F _hbb hbb
