# shellcheck shell=bash disable=SC2068,SC2207
# Completion of hbb(1) for bash, made by tests/completion.rs.

_hbb() {
    local i cur prev opts cmds
    COMPREPLY=()
    cur="${COMP_WORDS[COMP_CWORD]}"
    if [[ $COMP_CWORD -ge 1 ]]; then
        prev="${COMP_WORDS[COMP_CWORD-1]}"
    else
        prev=""
    fi
    cmd=""
    opts=""

    for i in ${COMP_WORDS[@]}; do
        case "${i}" in
            hbb | */hbb)
                cmd="hbb"
                ;;
            serve)
                cmd="hbb_serve"
                ;;
            keygen)
                cmd="hbb_keygen"
                ;;
            export)
                cmd="hbb_export"
                ;;
            check)
                cmd="hbb_check"
                ;;
            ctl)
                cmd="hbb_ctl"
                ;;
            status)
                cmd="hbb_ctl_status"
                ;;
            peers)
                cmd="hbb_ctl_peers"
                ;;
            sessions)
                cmd="hbb_ctl_sessions"
                ;;
            log)
                cmd="hbb_ctl_log"
                ;;
            disconnect)
                cmd="hbb_ctl_disconnect"
                ;;
            forget)
                cmd="hbb_ctl_forget"
                ;;
            pending)
                cmd="hbb_ctl_pending"
                ;;
            approve)
                cmd="hbb_ctl_approve"
                ;;
            invite)
                cmd="hbb_ctl_invite"
                ;;
            ban)
                cmd="hbb_ctl_ban"
                ;;
            unban)
                cmd="hbb_ctl_unban"
                ;;
            bans)
                cmd="hbb_ctl_bans"
                ;;
            limits)
                cmd="hbb_ctl_limits"
                ;;
            user)
                cmd="hbb_ctl_user"
                ;;
            group)
                cmd="hbb_ctl_group"
                ;;
            book)
                cmd="hbb_ctl_book"
                ;;
            rule)
                cmd="hbb_ctl_rule"
                ;;
            reload)
                cmd="hbb_ctl_reload"
                ;;
            doctor)
                cmd="hbb_doctor"
                ;;
            import)
                cmd="hbb_import"
                ;;
            store)
                cmd="hbb_store"
                ;;
            check)
                cmd="hbb_store_check"
                ;;
            salvage)
                cmd="hbb_store_salvage"
                ;;
            backup)
                cmd="hbb_backup"
                ;;
            restore)
                cmd="hbb_restore"
                ;;
            rules)
                cmd="hbb_rules"
                ;;
            check)
                cmd="hbb_rules_check"
                ;;
            test)
                cmd="hbb_rules_test"
                ;;
        esac
    done

    case "${cmd}" in
        hbb)
            opts="--help --version -V"
            cmds="serve keygen export check ctl doctor import store backup restore rules"
            case "${prev}" in
                *)
                    COMPREPLY=( $(compgen -W "${opts} ${cmds}" -- "${cur}") )
                    return 0
                    ;;
            esac
            ;;
        hbb_serve)
            opts="--help --data --flags --control --user --bind --port --relay-port --single-port --no-api-port --console --trusted-proxies --proxy-header --proxy-protocol --relay-servers --key --key-file --mask --local-ip --always-use-relay --role --public --rules --private --accounts --api --web --must-login --max-users --password-memory --max-peers --max-connections --max-sessions --registrations-per-minute --new-peers-per-day --forget-after --writes-per-day --quiet-start --relay-threads --dscp --total-bandwidth --single-bandwidth --limit-speed --downgrade-threshold --downgrade-start-check --connection-log --log-level"
            case "${prev}" in
                --data)
                    COMPREPLY=()
                    return 0
                    ;;
                --flags)
                    COMPREPLY=()
                    return 0
                    ;;
                --control)
                    COMPREPLY=()
                    return 0
                    ;;
                --user)
                    COMPREPLY=()
                    return 0
                    ;;
                --bind)
                    COMPREPLY=()
                    return 0
                    ;;
                --port)
                    COMPREPLY=()
                    return 0
                    ;;
                --relay-port)
                    COMPREPLY=()
                    return 0
                    ;;
                --trusted-proxies)
                    COMPREPLY=()
                    return 0
                    ;;
                --proxy-header)
                    COMPREPLY=()
                    return 0
                    ;;
                --relay-servers)
                    COMPREPLY=()
                    return 0
                    ;;
                --key)
                    COMPREPLY=()
                    return 0
                    ;;
                --key-file)
                    COMPREPLY=()
                    return 0
                    ;;
                --mask)
                    COMPREPLY=()
                    return 0
                    ;;
                --local-ip)
                    COMPREPLY=()
                    return 0
                    ;;
                --role)
                    COMPREPLY=( $(compgen -W "all rendezvous relay" -- "${cur}") )
                    return 0
                    ;;
                --public)
                    COMPREPLY=()
                    return 0
                    ;;
                --rules)
                    COMPREPLY=()
                    return 0
                    ;;
                --api)
                    COMPREPLY=()
                    return 0
                    ;;
                --web)
                    COMPREPLY=()
                    return 0
                    ;;
                --max-users)
                    COMPREPLY=()
                    return 0
                    ;;
                --password-memory)
                    COMPREPLY=()
                    return 0
                    ;;
                --max-peers)
                    COMPREPLY=()
                    return 0
                    ;;
                --max-connections)
                    COMPREPLY=()
                    return 0
                    ;;
                --max-sessions)
                    COMPREPLY=()
                    return 0
                    ;;
                --registrations-per-minute)
                    COMPREPLY=()
                    return 0
                    ;;
                --new-peers-per-day)
                    COMPREPLY=()
                    return 0
                    ;;
                --forget-after)
                    COMPREPLY=()
                    return 0
                    ;;
                --writes-per-day)
                    COMPREPLY=()
                    return 0
                    ;;
                --relay-threads)
                    COMPREPLY=()
                    return 0
                    ;;
                --dscp)
                    COMPREPLY=()
                    return 0
                    ;;
                --total-bandwidth)
                    COMPREPLY=()
                    return 0
                    ;;
                --single-bandwidth)
                    COMPREPLY=()
                    return 0
                    ;;
                --limit-speed)
                    COMPREPLY=()
                    return 0
                    ;;
                --downgrade-threshold)
                    COMPREPLY=()
                    return 0
                    ;;
                --downgrade-start-check)
                    COMPREPLY=()
                    return 0
                    ;;
                --connection-log)
                    COMPREPLY=()
                    return 0
                    ;;
                --log-level)
                    COMPREPLY=( $(compgen -W "error warn info debug" -- "${cur}") )
                    return 0
                    ;;
                *)
                    COMPREPLY=( $(compgen -W "${opts} ${cmds}" -- "${cur}") )
                    return 0
                    ;;
            esac
            ;;
        hbb_keygen)
            opts="--help --data --print --force --rotate --days --end-rotation"
            case "${prev}" in
                --data)
                    COMPREPLY=()
                    return 0
                    ;;
                --days)
                    COMPREPLY=()
                    return 0
                    ;;
                *)
                    COMPREPLY=( $(compgen -W "${opts} ${cmds}" -- "${cur}") )
                    return 0
                    ;;
            esac
            ;;
        hbb_export)
            opts="--help --host --port --relay --api --peers --format --write --data --key-file --flags"
            case "${prev}" in
                --host)
                    COMPREPLY=()
                    return 0
                    ;;
                --port)
                    COMPREPLY=()
                    return 0
                    ;;
                --relay)
                    COMPREPLY=()
                    return 0
                    ;;
                --api)
                    COMPREPLY=()
                    return 0
                    ;;
                --format)
                    COMPREPLY=( $(compgen -W "text string qr exe toml json" -- "${cur}") )
                    return 0
                    ;;
                --write)
                    COMPREPLY=()
                    return 0
                    ;;
                --data)
                    COMPREPLY=()
                    return 0
                    ;;
                --key-file)
                    COMPREPLY=()
                    return 0
                    ;;
                --flags)
                    COMPREPLY=()
                    return 0
                    ;;
                *)
                    COMPREPLY=( $(compgen -W "${opts} ${cmds}" -- "${cur}") )
                    return 0
                    ;;
            esac
            ;;
        hbb_check)
            opts="--help --data --flags --control --user --bind --port --relay-port --single-port --no-api-port --console --trusted-proxies --proxy-header --proxy-protocol --relay-servers --key --key-file --mask --local-ip --always-use-relay --role --public --rules --private --accounts --api --web --must-login --max-users --password-memory --max-peers --max-connections --max-sessions --registrations-per-minute --new-peers-per-day --forget-after --writes-per-day --quiet-start --relay-threads --dscp --total-bandwidth --single-bandwidth --limit-speed --downgrade-threshold --downgrade-start-check --connection-log --log-level"
            case "${prev}" in
                --data)
                    COMPREPLY=()
                    return 0
                    ;;
                --flags)
                    COMPREPLY=()
                    return 0
                    ;;
                --control)
                    COMPREPLY=()
                    return 0
                    ;;
                --user)
                    COMPREPLY=()
                    return 0
                    ;;
                --bind)
                    COMPREPLY=()
                    return 0
                    ;;
                --port)
                    COMPREPLY=()
                    return 0
                    ;;
                --relay-port)
                    COMPREPLY=()
                    return 0
                    ;;
                --trusted-proxies)
                    COMPREPLY=()
                    return 0
                    ;;
                --proxy-header)
                    COMPREPLY=()
                    return 0
                    ;;
                --relay-servers)
                    COMPREPLY=()
                    return 0
                    ;;
                --key)
                    COMPREPLY=()
                    return 0
                    ;;
                --key-file)
                    COMPREPLY=()
                    return 0
                    ;;
                --mask)
                    COMPREPLY=()
                    return 0
                    ;;
                --local-ip)
                    COMPREPLY=()
                    return 0
                    ;;
                --role)
                    COMPREPLY=( $(compgen -W "all rendezvous relay" -- "${cur}") )
                    return 0
                    ;;
                --public)
                    COMPREPLY=()
                    return 0
                    ;;
                --rules)
                    COMPREPLY=()
                    return 0
                    ;;
                --api)
                    COMPREPLY=()
                    return 0
                    ;;
                --web)
                    COMPREPLY=()
                    return 0
                    ;;
                --max-users)
                    COMPREPLY=()
                    return 0
                    ;;
                --password-memory)
                    COMPREPLY=()
                    return 0
                    ;;
                --max-peers)
                    COMPREPLY=()
                    return 0
                    ;;
                --max-connections)
                    COMPREPLY=()
                    return 0
                    ;;
                --max-sessions)
                    COMPREPLY=()
                    return 0
                    ;;
                --registrations-per-minute)
                    COMPREPLY=()
                    return 0
                    ;;
                --new-peers-per-day)
                    COMPREPLY=()
                    return 0
                    ;;
                --forget-after)
                    COMPREPLY=()
                    return 0
                    ;;
                --writes-per-day)
                    COMPREPLY=()
                    return 0
                    ;;
                --relay-threads)
                    COMPREPLY=()
                    return 0
                    ;;
                --dscp)
                    COMPREPLY=()
                    return 0
                    ;;
                --total-bandwidth)
                    COMPREPLY=()
                    return 0
                    ;;
                --single-bandwidth)
                    COMPREPLY=()
                    return 0
                    ;;
                --limit-speed)
                    COMPREPLY=()
                    return 0
                    ;;
                --downgrade-threshold)
                    COMPREPLY=()
                    return 0
                    ;;
                --downgrade-start-check)
                    COMPREPLY=()
                    return 0
                    ;;
                --connection-log)
                    COMPREPLY=()
                    return 0
                    ;;
                --log-level)
                    COMPREPLY=( $(compgen -W "error warn info debug" -- "${cur}") )
                    return 0
                    ;;
                *)
                    COMPREPLY=( $(compgen -W "${opts} ${cmds}" -- "${cur}") )
                    return 0
                    ;;
            esac
            ;;
        hbb_ctl)
            opts="--help --control --data --flags --json"
            cmds="status peers sessions log disconnect forget pending approve invite ban unban bans limits user group book rule reload"
            case "${prev}" in
                --control)
                    COMPREPLY=()
                    return 0
                    ;;
                --data)
                    COMPREPLY=()
                    return 0
                    ;;
                --flags)
                    COMPREPLY=()
                    return 0
                    ;;
                *)
                    COMPREPLY=( $(compgen -W "${opts} ${cmds}" -- "${cur}") )
                    return 0
                    ;;
            esac
            ;;
        hbb_ctl_status)
            ;;
        hbb_ctl_peers)
            ;;
        hbb_ctl_sessions)
            ;;
        hbb_ctl_log)
            ;;
        hbb_ctl_disconnect)
            ;;
        hbb_ctl_forget)
            ;;
        hbb_ctl_pending)
            ;;
        hbb_ctl_approve)
            ;;
        hbb_ctl_invite)
            ;;
        hbb_ctl_ban)
            ;;
        hbb_ctl_unban)
            ;;
        hbb_ctl_bans)
            ;;
        hbb_ctl_limits)
            ;;
        hbb_ctl_user)
            ;;
        hbb_ctl_group)
            ;;
        hbb_ctl_book)
            ;;
        hbb_ctl_rule)
            ;;
        hbb_ctl_reload)
            ;;
        hbb_doctor)
            opts="--help --key --port --relay --single-port --id --ws --api --skip --from-inside --timeout --json"
            case "${prev}" in
                --key)
                    COMPREPLY=()
                    return 0
                    ;;
                --port)
                    COMPREPLY=()
                    return 0
                    ;;
                --relay)
                    COMPREPLY=()
                    return 0
                    ;;
                --id)
                    COMPREPLY=()
                    return 0
                    ;;
                --ws)
                    COMPREPLY=()
                    return 0
                    ;;
                --api)
                    COMPREPLY=()
                    return 0
                    ;;
                --skip)
                    COMPREPLY=()
                    return 0
                    ;;
                --timeout)
                    COMPREPLY=()
                    return 0
                    ;;
                *)
                    COMPREPLY=( $(compgen -W "${opts} ${cmds}" -- "${cur}") )
                    return 0
                    ;;
            esac
            ;;
        hbb_import)
            opts="--help --data --merge --dry-run"
            case "${prev}" in
                --data)
                    COMPREPLY=()
                    return 0
                    ;;
                --merge)
                    COMPREPLY=()
                    return 0
                    ;;
                *)
                    COMPREPLY=( $(compgen -W "${opts} ${cmds}" -- "${cur}") )
                    return 0
                    ;;
            esac
            ;;
        hbb_store)
            opts="--help --data --to"
            cmds="check salvage"
            case "${prev}" in
                --data)
                    COMPREPLY=()
                    return 0
                    ;;
                --to)
                    COMPREPLY=()
                    return 0
                    ;;
                *)
                    COMPREPLY=( $(compgen -W "${opts} ${cmds}" -- "${cur}") )
                    return 0
                    ;;
            esac
            ;;
        hbb_store_check)
            ;;
        hbb_store_salvage)
            ;;
        hbb_backup)
            opts="--help --data --flags --control --force"
            case "${prev}" in
                --data)
                    COMPREPLY=()
                    return 0
                    ;;
                --flags)
                    COMPREPLY=()
                    return 0
                    ;;
                --control)
                    COMPREPLY=()
                    return 0
                    ;;
                *)
                    COMPREPLY=( $(compgen -W "${opts} ${cmds}" -- "${cur}") )
                    return 0
                    ;;
            esac
            ;;
        hbb_restore)
            opts="--help --data --flags --force --dry-run"
            case "${prev}" in
                --data)
                    COMPREPLY=()
                    return 0
                    ;;
                --flags)
                    COMPREPLY=()
                    return 0
                    ;;
                *)
                    COMPREPLY=( $(compgen -W "${opts} ${cmds}" -- "${cur}") )
                    return 0
                    ;;
            esac
            ;;
        hbb_rules)
            opts="--help --rules --data --flags --user --user-group --to-group --at"
            cmds="check test"
            case "${prev}" in
                --rules)
                    COMPREPLY=()
                    return 0
                    ;;
                --data)
                    COMPREPLY=()
                    return 0
                    ;;
                --flags)
                    COMPREPLY=()
                    return 0
                    ;;
                --user)
                    COMPREPLY=()
                    return 0
                    ;;
                --user-group)
                    COMPREPLY=()
                    return 0
                    ;;
                --to-group)
                    COMPREPLY=()
                    return 0
                    ;;
                --at)
                    COMPREPLY=()
                    return 0
                    ;;
                *)
                    COMPREPLY=( $(compgen -W "${opts} ${cmds}" -- "${cur}") )
                    return 0
                    ;;
            esac
            ;;
        hbb_rules_check)
            ;;
        hbb_rules_test)
            ;;
    esac
}

complete -F _hbb -o bashdefault -o default hbb
