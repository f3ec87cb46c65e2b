#compdef hbb
# Completion of hbb(1) for zsh, made by tests/completion.rs.

_hbb() {
    local context state state_descr line
    typeset -A opt_args

    _arguments -s -S \
        '--help[display usage information]' \
        '(-V --version)'{-V,--version}'[print name and version]' \
        '*::command:->subcmd' && return 0

    case $state in
        (subcmd)
            local -a subcommands
            subcommands=(
                'serve:Run the ID server and the relay, in the foreground.'
                'keygen:Make or replace the server'\''s key.'
                'export:Print what clients need, to type, import or scan.'
                'check:Look for mistakes without starting anything.'
                'ctl:Query and control the running server.'
                'doctor:Try a server from another machine, as clients would.'
                'import:Take over the devices of another server.'
                'store:Judge the store, or save what a damaged one holds.'
                'backup:Write all that a server needs into one file.'
                'restore:Put back what '\''hbb backup'\'' wrote.'
                'rules:Say what the rules decide, and which line does.'
            )
            if (( CURRENT == 1 )); then
              _describe -t commands 'Top commands' subcommands
                return
            fi
            local cmd=$words[1]
            curcontext="${curcontext%:*:*}:hbb-$cmd"
            case $cmd in
                (serve)
                    _hbb_serve
                    ;;
                (keygen)
                    _hbb_keygen
                    ;;
                (export)
                    _hbb_export
                    ;;
                (check)
                    _hbb_check
                    ;;
                (ctl)
                    _hbb_ctl
                    ;;
                (doctor)
                    _hbb_doctor
                    ;;
                (import)
                    _hbb_import
                    ;;
                (store)
                    _hbb_store
                    ;;
                (backup)
                    _hbb_backup
                    ;;
                (restore)
                    _hbb_restore
                    ;;
                (rules)
                    _hbb_rules
                    ;;
            esac
            ;;
    esac
}

_hbb_serve() {
    local context state state_descr line
    typeset -A opt_args

    _arguments -s -S \
        '--help[display usage information]' \
        '--data[DIR with the key files and the peers; the working directory if not given]'': :_files' \
        '--flags[FILE with more flags, see below]'': :_files' \
        '--control[PATH of the socket for '\''hbb ctl'\''; hbb.sock in the directory of --data if not given]'': :_files' \
        '--user[name or number of the user to become, if started as root; on the command line alone]'': :' \
        '--bind[IP address to listen on; all of IPv6 and IPv4 if not given]'': :' \
        '--port[port of the ID server, 3 to 65532 (21116); the two below and the two above go with it]'': :' \
        '--relay-port[port of the relay (--port + 1); the second port above it is for browsers]'': :' \
        '--single-port[serve everything on --port alone\: ID server, relay, WebSocket; needs --public or --relay-servers]' \
        '--no-api-port[leave TCP --port - 2 to an API server; if not given, clients that look for one there are told that there is none]' \
        '--console[answer upstream'\''s console commands on --port - 1 and the relay'\''s port, from this machine alone; '\''h'\'' lists them]' \
        '--trusted-proxies[proxies trusted to say where their clients are\: ADDRESS\[/BITS\],... (127.0.0.0/8,\:\:1)]'': :' \
        '--proxy-header[header in which they tell it to WebSockets\: x-real-ip or x-forwarded-for (x-real-ip)]'': :' \
        '--proxy-protocol[they begin every other TCP connection with the PROXY protocol, version 1 or 2]' \
        '--relay-servers[relays that clients are told to use\: HOST\[\:PORT\],HOST\[\:PORT\]... (this one)]'': :' \
        '--key[TEXT that says which key to sign with and what clients must show, see below]'': :' \
        '--key-file[FILE with the secret key, elsewhere than in --data; it is read and never written]'': :' \
        '--mask[local network such as 192.168.0.0/16 whose members connect directly, where the interfaces do not tell it; needs --local-ip]'': :' \
        '--local-ip[IP address of this machine in the network of --mask]'': :' \
        '--always-use-relay[send all sessions through the relay]' \
        '--role[what to run\: all, rendezvous (the ID server alone) or relay (all)]'': :(all rendezvous relay)' \
        '--public[HOST by which clients reach this machine\: a name or an IP address]'': :' \
        '--rules[FILE that says who may connect to whom; rules.conf in the directory of --data if not given]'': :_files' \
        '--private[let no device register that '\''hbb ctl approve'\'' did not let in]' \
        '--accounts[serve what clients ask an API server for\: users, logins, address books; see '\''hbb ctl'\'']' \
        '--api[answer that by HTTP on \[IP\:\]PORT too, such as 21114; if not given, sealed on --port alone]'': :' \
        '--web[a page for administrators on \[IP\:\]PORT, such as 8114; without IP for private addresses alone]'': :' \
        '--must-login[let only users connect who are logged in; needs --accounts]' \
        '--max-users[most users, 1 to 4096 (64)]'': :' \
        '--password-memory[memory that it takes to check a password, in MiB, 4 to 64 (7)]'': :' \
        '--max-peers[most registered devices, 1 to 131072 (1024)]'': :' \
        '--max-connections[most connections beside relayed sessions, 1 to 16384 (256)]'': :' \
        '--max-sessions[most relayed sessions, 1 to 4096 (32)]'': :' \
        '--registrations-per-minute[key registrations from one address (a network has four times it) per minute, 1 to 65535 (32)]'': :' \
        '--new-peers-per-day[new devices from one address (a network has four times it) per day, 1 to 65535 (300)]'': :' \
        '--forget-after[days after which an absent device gives way to a new one if --max-peers are registered, 0 to 65535; its ID is free then (0\: never)]'': :' \
        '--writes-per-day[most MiB that registrations may write to flash in a day, 0 to 65535; beyond it they wait (8; 0\: no limit)]'': :' \
        '--quiet-start[after a start, ask no device to register that was here when the server stopped\: each comes by itself, within 15 s]' \
        '--relay-threads[threads for relayed sessions\: 1 shares the main thread, auto is one per core (1)]'': :' \
        '--dscp[mark relayed traffic with this DSCP, 0 to 63, such as 34 for AF41 (no mark)]'': :' \
        '--total-bandwidth[speed of all relayed sessions together in Mb/s, 1 Mb being 1048576 bits (1024)]'': :' \
        '--single-bandwidth[speed of one session in Mb/s, both directions together (128)]'': :' \
        '--limit-speed[speed of one session of a blacklisted address or after a downgrade, in Mb/s (32)]'': :' \
        '--downgrade-threshold[part of --single-bandwidth; a session that uses more on average is downgraded (0.66)]'': :' \
        '--downgrade-start-check[seconds before a session may be downgraded (1800)]'': :' \
        '--connection-log[who asked for whom, for '\''hbb ctl log'\''\: memory, off, log (log lines too) or a FILE too (memory)]'': :' \
        '--log-level[error, warn, info, debug or, in debug builds, trace (info)]'': :(error warn info debug)' \
        && return 0
}

_hbb_keygen() {
    local context state state_descr line
    typeset -A opt_args

    _arguments -s -S \
        '--help[display usage information]' \
        '--data[DIR to write to; the working directory if not given]'': :_files' \
        '--print[print a new pair and write nothing]' \
        '--force[replace an existing pair; the old files are kept, with their date in the name]' \
        '--rotate[replace the pair, and serve clients with the old key too for a while, so that they can be told the new one in turn; restart hbb then]' \
        '--days[with --rotate\: the old key is good for so many DAYS (30)]'': :' \
        '--end-rotation[have the old key end now; reload hbb then]' \
        && return 0
}

_hbb_export() {
    local context state state_descr line
    typeset -A opt_args

    _arguments -s -S \
        '--help[display usage information]' \
        '--host[HOST by which clients reach this server; --public of the flags file if not given; again for each other name of it, the first for most clients]'': :' \
        '--port[port of the ID server (21116)]'': :' \
        '--relay[relay to name, HOST\[\:PORT\]; not needed if it is this server]'': :' \
        '--api[address of an API server to name, such as https\://rd.example.org]'': :' \
        '--peers[print the registered devices instead, as lines that '\''hbb import'\'' reads; a server that runs is asked for them, as its user or as root]' \
        '--format[text, string, qr, exe, server-conf, toml or json]'': :(text string qr exe toml json)' \
        '--write[write server.conf, RustDesk2.toml, import.txt, exe-name.txt and key into DIR instead]'': :' \
        '--data[DIR with the key files; the working directory if not given]'': :_files' \
        '--key-file[FILE with the secret key, if it is not in --data]'': :' \
        '--flags[FILE of '\''hbb serve --flags'\'' to take from it what is not given here]'': :_files' \
        && return 0
}

_hbb_check() {
    local context state state_descr line
    typeset -A opt_args

    _arguments -s -S \
        '--help[display usage information]' \
        '--data[DIR with the key files and the peers; the working directory if not given]'': :_files' \
        '--flags[FILE with more flags, see below]'': :_files' \
        '--control[PATH of the socket for '\''hbb ctl'\''; hbb.sock in the directory of --data if not given]'': :_files' \
        '--user[name or number of the user to become, if started as root; on the command line alone]'': :' \
        '--bind[IP address to listen on; all of IPv6 and IPv4 if not given]'': :' \
        '--port[port of the ID server, 3 to 65532 (21116); the two below and the two above go with it]'': :' \
        '--relay-port[port of the relay (--port + 1); the second port above it is for browsers]'': :' \
        '--single-port[serve everything on --port alone\: ID server, relay, WebSocket; needs --public or --relay-servers]' \
        '--no-api-port[leave TCP --port - 2 to an API server; if not given, clients that look for one there are told that there is none]' \
        '--console[answer upstream'\''s console commands on --port - 1 and the relay'\''s port, from this machine alone; '\''h'\'' lists them]' \
        '--trusted-proxies[proxies trusted to say where their clients are\: ADDRESS\[/BITS\],... (127.0.0.0/8,\:\:1)]'': :' \
        '--proxy-header[header in which they tell it to WebSockets\: x-real-ip or x-forwarded-for (x-real-ip)]'': :' \
        '--proxy-protocol[they begin every other TCP connection with the PROXY protocol, version 1 or 2]' \
        '--relay-servers[relays that clients are told to use\: HOST\[\:PORT\],HOST\[\:PORT\]... (this one)]'': :' \
        '--key[TEXT that says which key to sign with and what clients must show, see below]'': :' \
        '--key-file[FILE with the secret key, elsewhere than in --data; it is read and never written]'': :' \
        '--mask[local network such as 192.168.0.0/16 whose members connect directly, where the interfaces do not tell it; needs --local-ip]'': :' \
        '--local-ip[IP address of this machine in the network of --mask]'': :' \
        '--always-use-relay[send all sessions through the relay]' \
        '--role[what to run\: all, rendezvous (the ID server alone) or relay (all)]'': :(all rendezvous relay)' \
        '--public[HOST by which clients reach this machine\: a name or an IP address]'': :' \
        '--rules[FILE that says who may connect to whom; rules.conf in the directory of --data if not given]'': :_files' \
        '--private[let no device register that '\''hbb ctl approve'\'' did not let in]' \
        '--accounts[serve what clients ask an API server for\: users, logins, address books; see '\''hbb ctl'\'']' \
        '--api[answer that by HTTP on \[IP\:\]PORT too, such as 21114; if not given, sealed on --port alone]'': :' \
        '--web[a page for administrators on \[IP\:\]PORT, such as 8114; without IP for private addresses alone]'': :' \
        '--must-login[let only users connect who are logged in; needs --accounts]' \
        '--max-users[most users, 1 to 4096 (64)]'': :' \
        '--password-memory[memory that it takes to check a password, in MiB, 4 to 64 (7)]'': :' \
        '--max-peers[most registered devices, 1 to 131072 (1024)]'': :' \
        '--max-connections[most connections beside relayed sessions, 1 to 16384 (256)]'': :' \
        '--max-sessions[most relayed sessions, 1 to 4096 (32)]'': :' \
        '--registrations-per-minute[key registrations from one address (a network has four times it) per minute, 1 to 65535 (32)]'': :' \
        '--new-peers-per-day[new devices from one address (a network has four times it) per day, 1 to 65535 (300)]'': :' \
        '--forget-after[days after which an absent device gives way to a new one if --max-peers are registered, 0 to 65535; its ID is free then (0\: never)]'': :' \
        '--writes-per-day[most MiB that registrations may write to flash in a day, 0 to 65535; beyond it they wait (8; 0\: no limit)]'': :' \
        '--quiet-start[after a start, ask no device to register that was here when the server stopped\: each comes by itself, within 15 s]' \
        '--relay-threads[threads for relayed sessions\: 1 shares the main thread, auto is one per core (1)]'': :' \
        '--dscp[mark relayed traffic with this DSCP, 0 to 63, such as 34 for AF41 (no mark)]'': :' \
        '--total-bandwidth[speed of all relayed sessions together in Mb/s, 1 Mb being 1048576 bits (1024)]'': :' \
        '--single-bandwidth[speed of one session in Mb/s, both directions together (128)]'': :' \
        '--limit-speed[speed of one session of a blacklisted address or after a downgrade, in Mb/s (32)]'': :' \
        '--downgrade-threshold[part of --single-bandwidth; a session that uses more on average is downgraded (0.66)]'': :' \
        '--downgrade-start-check[seconds before a session may be downgraded (1800)]'': :' \
        '--connection-log[who asked for whom, for '\''hbb ctl log'\''\: memory, off, log (log lines too) or a FILE too (memory)]'': :' \
        '--log-level[error, warn, info, debug or, in debug builds, trace (info)]'': :(error warn info debug)' \
        && return 0
}

_hbb_ctl() {
    local context state state_descr line
    typeset -A opt_args

    _arguments -s -S \
        '--help[display usage information]' \
        '--control[PATH of the socket; if not given, that of --flags or --data, else a package'\''s, else hbb.sock in the working directory]'': :_files' \
        '--data[DIR of '\''hbb serve --data'\'']'': :_files' \
        '--flags[FILE of '\''hbb serve --flags'\'']'': :_files' \
        '--json[answer in JSON, what the server refuses too, as {"error"\: "..."}]' \
        '*::command:->subcmd' && return 0

    case $state in
        (subcmd)
            local -a subcommands
            subcommands=(
                'status:what runs, how full it is, what was dropped'
                'peers:who is registered; also count=NUMBER, part=TEXT, key=old'
                'sessions:who is relayed, with bytes and bytes per second'
                'log:who asked for whom; also id=ID, from=NET, --csv, --lines'
                'disconnect:end a relayed session, or all of a device by its ID'
                'forget:delete a device; only it may have its id for a day'
                'pending:with --private\: which devices wait to be approved'
                'approve:let one in; its address, if several ask for the id'
                'invite:a code that lets one device in, for '\''rustdesk --deploy'\'''
                'ban:shut out an id, an address or a network, for good'
                'unban:admit it again'
                'bans:who is shut out'
                'limits:limits and speeds, named as the flags of '\''hbb serve'\'''
                'user:who has an account, with --accounts'
                'group:which users and devices are in which group'
                'book:address books, with --accounts'
                'rule:who may connect to whom, as the file says it now'
                'reload:read the flags file and the lists again, as SIGHUP does'
            )
            if (( CURRENT == 1 )); then
              _describe -t commands 'ctl commands' subcommands
                return
            fi
            local cmd=$words[1]
            curcontext="${curcontext%:*:*}:hbb_ctl-$cmd"
            case $cmd in
                (status)
                    _hbb_ctl_status
                    ;;
                (peers)
                    _hbb_ctl_peers
                    ;;
                (sessions)
                    _hbb_ctl_sessions
                    ;;
                (log)
                    _hbb_ctl_log
                    ;;
                (disconnect)
                    _hbb_ctl_disconnect
                    ;;
                (forget)
                    _hbb_ctl_forget
                    ;;
                (pending)
                    _hbb_ctl_pending
                    ;;
                (approve)
                    _hbb_ctl_approve
                    ;;
                (invite)
                    _hbb_ctl_invite
                    ;;
                (ban)
                    _hbb_ctl_ban
                    ;;
                (unban)
                    _hbb_ctl_unban
                    ;;
                (bans)
                    _hbb_ctl_bans
                    ;;
                (limits)
                    _hbb_ctl_limits
                    ;;
                (user)
                    _hbb_ctl_user
                    ;;
                (group)
                    _hbb_ctl_group
                    ;;
                (book)
                    _hbb_ctl_book
                    ;;
                (rule)
                    _hbb_ctl_rule
                    ;;
                (reload)
                    _hbb_ctl_reload
                    ;;
            esac
            ;;
    esac
}

_hbb_ctl_status() {
    local context state state_descr line
    typeset -A opt_args

    _arguments -s -S \
        && return 0
}

_hbb_ctl_peers() {
    local context state state_descr line
    typeset -A opt_args

    _arguments -s -S \
        && return 0
}

_hbb_ctl_sessions() {
    local context state state_descr line
    typeset -A opt_args

    _arguments -s -S \
        && return 0
}

_hbb_ctl_log() {
    local context state state_descr line
    typeset -A opt_args

    _arguments -s -S \
        && return 0
}

_hbb_ctl_disconnect() {
    local context state state_descr line
    typeset -A opt_args

    _arguments -s -S \
        && return 0
}

_hbb_ctl_forget() {
    local context state state_descr line
    typeset -A opt_args

    _arguments -s -S \
        && return 0
}

_hbb_ctl_pending() {
    local context state state_descr line
    typeset -A opt_args

    _arguments -s -S \
        && return 0
}

_hbb_ctl_approve() {
    local context state state_descr line
    typeset -A opt_args

    _arguments -s -S \
        && return 0
}

_hbb_ctl_invite() {
    local context state state_descr line
    typeset -A opt_args

    _arguments -s -S \
        && return 0
}

_hbb_ctl_ban() {
    local context state state_descr line
    typeset -A opt_args

    _arguments -s -S \
        && return 0
}

_hbb_ctl_unban() {
    local context state state_descr line
    typeset -A opt_args

    _arguments -s -S \
        && return 0
}

_hbb_ctl_bans() {
    local context state state_descr line
    typeset -A opt_args

    _arguments -s -S \
        && return 0
}

_hbb_ctl_limits() {
    local context state state_descr line
    typeset -A opt_args

    _arguments -s -S \
        && return 0
}

_hbb_ctl_user() {
    local context state state_descr line
    typeset -A opt_args

    _arguments -s -S \
        && return 0
}

_hbb_ctl_group() {
    local context state state_descr line
    typeset -A opt_args

    _arguments -s -S \
        && return 0
}

_hbb_ctl_book() {
    local context state state_descr line
    typeset -A opt_args

    _arguments -s -S \
        && return 0
}

_hbb_ctl_rule() {
    local context state state_descr line
    typeset -A opt_args

    _arguments -s -S \
        && return 0
}

_hbb_ctl_reload() {
    local context state state_descr line
    typeset -A opt_args

    _arguments -s -S \
        && return 0
}

_hbb_doctor() {
    local context state state_descr line
    typeset -A opt_args

    _arguments -s -S \
        '--help[display usage information]' \
        '--key[KEY that clients enter, as '\''hbb export'\'' prints it]'': :' \
        '--port[port of the ID server (21116)]'': :' \
        '--relay[relays that clients are told, HOST\[\:PORT\],... (HOST, at --port + 1)]'': :' \
        '--single-port[the server has --single-port]' \
        '--id[ID of a device that is online\: asks for it, to see the server'\''s signature and which relay it is told]'': :' \
        '--ws[URL of the proxy that clients in WebSocket mode reach, http\:// or ws\://; with https\:// or wss\:// no more is tried than whether its port is open]'': :' \
        '--api[URL of the API server (http\://HOST, at --port - 2)]'': :' \
        '--skip[names of checks to leave out, NAME,...]'': :' \
        '--from-inside[this machine is in the server'\''s network\: say whether the router leads its public address back inside (hairpin NAT)]' \
        '--timeout[SECONDS to wait for each answer, 1 to 60 (3); all of it takes four times as long at most]'': :' \
        '--json[answer in JSON]' \
        && return 0
}

_hbb_import() {
    local context state state_descr line
    typeset -A opt_args

    _arguments -s -S \
        '--help[display usage information]' \
        '--data[DIR with the store; the working directory if not given]'': :_files' \
        '--merge[which device has an ID that is known here already\: keep the one here or replace it (keep)]'': :' \
        '--dry-run[say what would be done and write nothing]' \
        && return 0
}

_hbb_store() {
    local context state state_descr line
    typeset -A opt_args

    _arguments -s -S \
        '--help[display usage information]' \
        '--data[DIR with the store; the working directory if not given]'': :_files' \
        '--to[FILE for what is salvaged, not there yet; hbb.store.salvaged in DIR if not given]'': :_files' \
        '*::command:->subcmd' && return 0

    case $state in
        (subcmd)
            local -a subcommands
            subcommands=(
                'check:read all of the store and change nothing'
                'salvage:write what a damaged store still holds to a new file'
            )
            if (( CURRENT == 1 )); then
              _describe -t commands 'store commands' subcommands
                return
            fi
            local cmd=$words[1]
            curcontext="${curcontext%:*:*}:hbb_store-$cmd"
            case $cmd in
                (check)
                    _hbb_store_check
                    ;;
                (salvage)
                    _hbb_store_salvage
                    ;;
            esac
            ;;
    esac
}

_hbb_store_check() {
    local context state state_descr line
    typeset -A opt_args

    _arguments -s -S \
        && return 0
}

_hbb_store_salvage() {
    local context state state_descr line
    typeset -A opt_args

    _arguments -s -S \
        && return 0
}

_hbb_backup() {
    local context state state_descr line
    typeset -A opt_args

    _arguments -s -S \
        '--help[display usage information]' \
        '--data[DIR of '\''hbb serve --data'\''; the working directory if not given]'': :_files' \
        '--flags[FILE of '\''hbb serve --flags'\'', which is backed up and says where the rest is]'': :_files' \
        '--control[PATH of the socket for '\''hbb ctl'\'', if the server has it elsewhere]'': :_files' \
        '--force[replace a file that is there, once the new one is whole]' \
        && return 0
}

_hbb_restore() {
    local context state state_descr line
    typeset -A opt_args

    _arguments -s -S \
        '--help[display usage information]' \
        '--data[DIR to put it into; the working directory if not given]'': :_files' \
        '--flags[FILE to write the settings to; they are left out if it is not given]'': :_files' \
        '--force[restore where there are a key or devices already]' \
        '--dry-run[say what is in the backup and change nothing]' \
        && return 0
}

_hbb_rules() {
    local context state state_descr line
    typeset -A opt_args

    _arguments -s -S \
        '--help[display usage information]' \
        '--rules[FILE of '\''hbb serve --rules'\''; rules.conf in the directory of --data if not given]'': :_files' \
        '--data[DIR of '\''hbb serve --data'\''; the working directory if not given]'': :_files' \
        '--flags[FILE of '\''hbb serve --flags'\'', to take both from it]'': :_files' \
        '--user[NAME of the user who is logged in at FROM; nobody if not given]'': :' \
        '--user-group[NAME of that user'\''s group, which '\''@NAME'\'' in from= means]'': :' \
        '--to-group[NAME of the group that '\''hbb ctl group'\'' put TO in, which '\''@NAME'\'' in to= means]'': :' \
        '--at[TIME where the rules hold, such as '\''Mon 14\:00'\''; now if not given]'': :' \
        '*::command:->subcmd' && return 0

    case $state in
        (subcmd)
            local -a subcommands
            subcommands=(
                'check:name each wrong line of the rules'
                'test:say what they decide of FROM and TO'
            )
            if (( CURRENT == 1 )); then
              _describe -t commands 'rules commands' subcommands
                return
            fi
            local cmd=$words[1]
            curcontext="${curcontext%:*:*}:hbb_rules-$cmd"
            case $cmd in
                (check)
                    _hbb_rules_check
                    ;;
                (test)
                    _hbb_rules_test
                    ;;
            esac
            ;;
    esac
}

_hbb_rules_check() {
    local context state state_descr line
    typeset -A opt_args

    _arguments -s -S \
        && return 0
}

_hbb_rules_test() {
    local context state state_descr line
    typeset -A opt_args

    _arguments -s -S \
        && return 0
}

if [[ $funcstack[1] == _hbb ]]; then
    _hbb "$@"
else
    compdef _hbb hbb
fi
