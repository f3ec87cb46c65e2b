# Completion of hbb(1) for fish, made by tests/completion.rs.
complete -c hbb -f
function __fish_hbb_using_command
    set -l cmd (commandline -opc)
    set -e cmd[1]
    set -l target_cmd $argv

    set -l known_value_flags 'api' 'at' 'bind' 'connection-log' 'control' 'data' 'days' 'downgrade-start-check' 'downgrade-threshold' 'dscp' 'flags' 'forget-after' 'format' 'host' 'id' 'key' 'key-file' 'limit-speed' 'local-ip' 'log-level' 'mask' 'max-connections' 'max-peers' 'max-sessions' 'merge' 'new-peers-per-day' 'port' 'proxy-header' 'public' 'registrations-per-minute' 'relay' 'relay-port' 'relay-servers' 'relay-threads' 'role' 'rules' 'single-bandwidth' 'skip' 'timeout' 'to' 'total-bandwidth' 'trusted-proxies' 'user' 'write' 'writes-per-day' 'ws'

    set -l i 1
    set -l cleaned_cmd
    while test $i -le (count $cmd)
        set -l arg $cmd[$i]
        if string match -q -- "-*" $arg
            set -l pure_flag (string replace -r '^--?' '' -- $arg)
            if contains -- $pure_flag $known_value_flags
                set -l next_i (math $i + 1)
                if test $next_i -le (count $cmd)
                    if not string match -q -- "-*" $cmd[$next_i]
                        set i $next_i
                    end
                end
            end
        else
            set -a cleaned_cmd $arg
        end
        set i (math $i + 1)
    end

    set -l count_cleaned (count $cleaned_cmd)
    set -l count_target (count $target_cmd)

    if test $count_cleaned -ne $count_target
        return 1
    end

    for i in (seq $count_target)
        if test $cleaned_cmd[$i] != $target_cmd[$i]
            return 1
        end
    end

    return 0
end

complete -c hbb -n '__fish_hbb_using_command' -f -l help -d 'display usage information'
complete -c hbb -n '__fish_hbb_using_command' -f -l version -s V -d 'print name and version'
complete -c hbb -n '__fish_hbb_using_command' -f -a 'serve' -d 'Run the ID server and the relay, in the foreground.'
complete -c hbb -n '__fish_hbb_using_command' -f -a 'keygen' -d 'Make or replace the server\'s key.'
complete -c hbb -n '__fish_hbb_using_command' -f -a 'export' -d 'Print what clients need, to type, import or scan.'
complete -c hbb -n '__fish_hbb_using_command' -f -a 'check' -d 'Look for mistakes without starting anything.'
complete -c hbb -n '__fish_hbb_using_command' -f -a 'ctl' -d 'Query and control the running server.'
complete -c hbb -n '__fish_hbb_using_command' -f -a 'doctor' -d 'Try a server from another machine, as clients would.'
complete -c hbb -n '__fish_hbb_using_command' -f -a 'import' -d 'Take over the devices of another server.'
complete -c hbb -n '__fish_hbb_using_command' -f -a 'store' -d 'Judge the store, or save what a damaged one holds.'
complete -c hbb -n '__fish_hbb_using_command' -f -a 'backup' -d 'Write all that a server needs into one file.'
complete -c hbb -n '__fish_hbb_using_command' -f -a 'restore' -d 'Put back what \'hbb backup\' wrote.'
complete -c hbb -n '__fish_hbb_using_command' -f -a 'rules' -d 'Say what the rules decide, and which line does.'
complete -c hbb -n '__fish_hbb_using_command serve' -f -l help -d 'display usage information'
complete -c hbb -n '__fish_hbb_using_command serve' -f -l data -x -a '(__fish_complete_path)' -d 'DIR with the key files and the peers; the working directory if not given'
complete -c hbb -n '__fish_hbb_using_command serve' -f -l flags -x -a '(__fish_complete_path)' -d 'FILE with more flags, see below'
complete -c hbb -n '__fish_hbb_using_command serve' -f -l control -x -a '(__fish_complete_path)' -d 'PATH of the socket for \'hbb ctl\'; hbb.sock in the directory of --data if not given'
complete -c hbb -n '__fish_hbb_using_command serve' -f -l user -r -d 'name or number of the user to become, if started as root; on the command line alone'
complete -c hbb -n '__fish_hbb_using_command serve' -f -l bind -r -d 'IP address to listen on; all of IPv6 and IPv4 if not given'
complete -c hbb -n '__fish_hbb_using_command serve' -f -l port -r -d 'port of the ID server, 3 to 65532 (21116); the two below and the two above go with it'
complete -c hbb -n '__fish_hbb_using_command serve' -f -l relay-port -r -d 'port of the relay (--port + 1); the second port above it is for browsers'
complete -c hbb -n '__fish_hbb_using_command serve' -f -l single-port -d 'serve everything on --port alone: ID server, relay, WebSocket; needs --public or --relay-servers'
complete -c hbb -n '__fish_hbb_using_command serve' -f -l no-api-port -d 'leave TCP --port - 2 to an API server; if not given, clients that look for one there are told that there is none'
complete -c hbb -n '__fish_hbb_using_command serve' -f -l console -d 'answer upstream\'s console commands on --port - 1 and the relay\'s port, from this machine alone; \'h\' lists them'
complete -c hbb -n '__fish_hbb_using_command serve' -f -l trusted-proxies -r -d 'proxies trusted to say where their clients are: ADDRESS[/BITS],... (127.0.0.0/8,::1)'
complete -c hbb -n '__fish_hbb_using_command serve' -f -l proxy-header -r -d 'header in which they tell it to WebSockets: x-real-ip or x-forwarded-for (x-real-ip)'
complete -c hbb -n '__fish_hbb_using_command serve' -f -l proxy-protocol -d 'they begin every other TCP connection with the PROXY protocol, version 1 or 2'
complete -c hbb -n '__fish_hbb_using_command serve' -f -l relay-servers -r -d 'relays that clients are told to use: HOST[:PORT],HOST[:PORT]... (this one)'
complete -c hbb -n '__fish_hbb_using_command serve' -f -l key -r -d 'TEXT that says which key to sign with and what clients must show, see below'
complete -c hbb -n '__fish_hbb_using_command serve' -f -l key-file -r -d 'FILE with the secret key, elsewhere than in --data; it is read and never written'
complete -c hbb -n '__fish_hbb_using_command serve' -f -l mask -r -d 'local network such as 192.168.0.0/16 whose members connect directly, where the interfaces do not tell it; needs --local-ip'
complete -c hbb -n '__fish_hbb_using_command serve' -f -l local-ip -r -d 'IP address of this machine in the network of --mask'
complete -c hbb -n '__fish_hbb_using_command serve' -f -l always-use-relay -d 'send all sessions through the relay'
complete -c hbb -n '__fish_hbb_using_command serve' -f -l role -x -a 'all rendezvous relay' -d 'what to run: all, rendezvous (the ID server alone) or relay (all)'
complete -c hbb -n '__fish_hbb_using_command serve' -f -l public -r -d 'HOST by which clients reach this machine: a name or an IP address'
complete -c hbb -n '__fish_hbb_using_command serve' -f -l rules -x -a '(__fish_complete_path)' -d 'FILE that says who may connect to whom; rules.conf in the directory of --data if not given'
complete -c hbb -n '__fish_hbb_using_command serve' -f -l private -d 'let no device register that \'hbb ctl approve\' did not let in'
complete -c hbb -n '__fish_hbb_using_command serve' -f -l max-peers -r -d 'most registered devices, 1 to 131072 (1024)'
complete -c hbb -n '__fish_hbb_using_command serve' -f -l max-connections -r -d 'most connections beside relayed sessions, 1 to 16384 (256)'
complete -c hbb -n '__fish_hbb_using_command serve' -f -l max-sessions -r -d 'most relayed sessions, 1 to 4096 (32)'
complete -c hbb -n '__fish_hbb_using_command serve' -f -l registrations-per-minute -r -d 'key registrations from one address (a network has four times it) per minute, 1 to 65535 (32)'
complete -c hbb -n '__fish_hbb_using_command serve' -f -l new-peers-per-day -r -d 'new devices from one address (a network has four times it) per day, 1 to 65535 (300)'
complete -c hbb -n '__fish_hbb_using_command serve' -f -l forget-after -r -d 'days after which an absent device gives way to a new one if --max-peers are registered, 0 to 65535; its ID is free then (0: never)'
complete -c hbb -n '__fish_hbb_using_command serve' -f -l writes-per-day -r -d 'most MiB that registrations may write to flash in a day, 0 to 65535; beyond it they wait (8; 0: no limit)'
complete -c hbb -n '__fish_hbb_using_command serve' -f -l quiet-start -d 'after a start, ask no device to register that was here when the server stopped: each comes by itself, within 15 s'
complete -c hbb -n '__fish_hbb_using_command serve' -f -l relay-threads -r -d 'threads for relayed sessions: 1 shares the main thread, auto is one per core (1)'
complete -c hbb -n '__fish_hbb_using_command serve' -f -l dscp -r -d 'mark relayed traffic with this DSCP, 0 to 63, such as 34 for AF41 (no mark)'
complete -c hbb -n '__fish_hbb_using_command serve' -f -l total-bandwidth -r -d 'speed of all relayed sessions together in Mb/s, 1 Mb being 1048576 bits (1024)'
complete -c hbb -n '__fish_hbb_using_command serve' -f -l single-bandwidth -r -d 'speed of one session in Mb/s, both directions together (128)'
complete -c hbb -n '__fish_hbb_using_command serve' -f -l limit-speed -r -d 'speed of one session of a blacklisted address or after a downgrade, in Mb/s (32)'
complete -c hbb -n '__fish_hbb_using_command serve' -f -l downgrade-threshold -r -d 'part of --single-bandwidth; a session that uses more on average is downgraded (0.66)'
complete -c hbb -n '__fish_hbb_using_command serve' -f -l downgrade-start-check -r -d 'seconds before a session may be downgraded (1800)'
complete -c hbb -n '__fish_hbb_using_command serve' -f -l connection-log -r -d 'who asked for whom, for \'hbb ctl log\': memory, off, log (log lines too) or a FILE too (memory)'
complete -c hbb -n '__fish_hbb_using_command serve' -f -l log-level -x -a 'error warn info debug' -d 'error, warn, info, debug or, in debug builds, trace (info)'
complete -c hbb -n '__fish_hbb_using_command keygen' -f -l help -d 'display usage information'
complete -c hbb -n '__fish_hbb_using_command keygen' -f -l data -x -a '(__fish_complete_path)' -d 'DIR to write to; the working directory if not given'
complete -c hbb -n '__fish_hbb_using_command keygen' -f -l print -d 'print a new pair and write nothing'
complete -c hbb -n '__fish_hbb_using_command keygen' -f -l force -d 'replace an existing pair; the old files are kept, with their date in the name'
complete -c hbb -n '__fish_hbb_using_command keygen' -f -l rotate -d 'replace the pair, and serve clients with the old key too for a while, so that they can be told the new one in turn; restart hbb then'
complete -c hbb -n '__fish_hbb_using_command keygen' -f -l days -r -d 'with --rotate: the old key is good for so many DAYS (30)'
complete -c hbb -n '__fish_hbb_using_command keygen' -f -l end-rotation -d 'have the old key end now; reload hbb then'
complete -c hbb -n '__fish_hbb_using_command export' -f -l help -d 'display usage information'
complete -c hbb -n '__fish_hbb_using_command export' -f -l host -r -d 'HOST by which clients reach this server; --public of the flags file if not given; again for each other name of it, the first for most clients'
complete -c hbb -n '__fish_hbb_using_command export' -f -l port -r -d 'port of the ID server (21116)'
complete -c hbb -n '__fish_hbb_using_command export' -f -l relay -r -d 'relay to name, HOST[:PORT]; not needed if it is this server'
complete -c hbb -n '__fish_hbb_using_command export' -f -l api -r -d 'address of an API server to name, such as https://rd.example.org'
complete -c hbb -n '__fish_hbb_using_command export' -f -l peers -d 'print the registered devices instead, as lines that \'hbb import\' reads; a server that runs is asked for them, as its user or as root'
complete -c hbb -n '__fish_hbb_using_command export' -f -l format -x -a 'text string qr exe toml json' -d 'text, string, qr, exe, server-conf, toml or json'
complete -c hbb -n '__fish_hbb_using_command export' -f -l write -r -d 'write server.conf, RustDesk2.toml, import.txt, exe-name.txt and key into DIR instead'
complete -c hbb -n '__fish_hbb_using_command export' -f -l data -x -a '(__fish_complete_path)' -d 'DIR with the key files; the working directory if not given'
complete -c hbb -n '__fish_hbb_using_command export' -f -l key-file -r -d 'FILE with the secret key, if it is not in --data'
complete -c hbb -n '__fish_hbb_using_command export' -f -l flags -x -a '(__fish_complete_path)' -d 'FILE of \'hbb serve --flags\' to take from it what is not given here'
complete -c hbb -n '__fish_hbb_using_command check' -f -l help -d 'display usage information'
complete -c hbb -n '__fish_hbb_using_command check' -f -l data -x -a '(__fish_complete_path)' -d 'DIR with the key files and the peers; the working directory if not given'
complete -c hbb -n '__fish_hbb_using_command check' -f -l flags -x -a '(__fish_complete_path)' -d 'FILE with more flags, see below'
complete -c hbb -n '__fish_hbb_using_command check' -f -l control -x -a '(__fish_complete_path)' -d 'PATH of the socket for \'hbb ctl\'; hbb.sock in the directory of --data if not given'
complete -c hbb -n '__fish_hbb_using_command check' -f -l user -r -d 'name or number of the user to become, if started as root; on the command line alone'
complete -c hbb -n '__fish_hbb_using_command check' -f -l bind -r -d 'IP address to listen on; all of IPv6 and IPv4 if not given'
complete -c hbb -n '__fish_hbb_using_command check' -f -l port -r -d 'port of the ID server, 3 to 65532 (21116); the two below and the two above go with it'
complete -c hbb -n '__fish_hbb_using_command check' -f -l relay-port -r -d 'port of the relay (--port + 1); the second port above it is for browsers'
complete -c hbb -n '__fish_hbb_using_command check' -f -l single-port -d 'serve everything on --port alone: ID server, relay, WebSocket; needs --public or --relay-servers'
complete -c hbb -n '__fish_hbb_using_command check' -f -l no-api-port -d 'leave TCP --port - 2 to an API server; if not given, clients that look for one there are told that there is none'
complete -c hbb -n '__fish_hbb_using_command check' -f -l console -d 'answer upstream\'s console commands on --port - 1 and the relay\'s port, from this machine alone; \'h\' lists them'
complete -c hbb -n '__fish_hbb_using_command check' -f -l trusted-proxies -r -d 'proxies trusted to say where their clients are: ADDRESS[/BITS],... (127.0.0.0/8,::1)'
complete -c hbb -n '__fish_hbb_using_command check' -f -l proxy-header -r -d 'header in which they tell it to WebSockets: x-real-ip or x-forwarded-for (x-real-ip)'
complete -c hbb -n '__fish_hbb_using_command check' -f -l proxy-protocol -d 'they begin every other TCP connection with the PROXY protocol, version 1 or 2'
complete -c hbb -n '__fish_hbb_using_command check' -f -l relay-servers -r -d 'relays that clients are told to use: HOST[:PORT],HOST[:PORT]... (this one)'
complete -c hbb -n '__fish_hbb_using_command check' -f -l key -r -d 'TEXT that says which key to sign with and what clients must show, see below'
complete -c hbb -n '__fish_hbb_using_command check' -f -l key-file -r -d 'FILE with the secret key, elsewhere than in --data; it is read and never written'
complete -c hbb -n '__fish_hbb_using_command check' -f -l mask -r -d 'local network such as 192.168.0.0/16 whose members connect directly, where the interfaces do not tell it; needs --local-ip'
complete -c hbb -n '__fish_hbb_using_command check' -f -l local-ip -r -d 'IP address of this machine in the network of --mask'
complete -c hbb -n '__fish_hbb_using_command check' -f -l always-use-relay -d 'send all sessions through the relay'
complete -c hbb -n '__fish_hbb_using_command check' -f -l role -x -a 'all rendezvous relay' -d 'what to run: all, rendezvous (the ID server alone) or relay (all)'
complete -c hbb -n '__fish_hbb_using_command check' -f -l public -r -d 'HOST by which clients reach this machine: a name or an IP address'
complete -c hbb -n '__fish_hbb_using_command check' -f -l rules -x -a '(__fish_complete_path)' -d 'FILE that says who may connect to whom; rules.conf in the directory of --data if not given'
complete -c hbb -n '__fish_hbb_using_command check' -f -l private -d 'let no device register that \'hbb ctl approve\' did not let in'
complete -c hbb -n '__fish_hbb_using_command check' -f -l max-peers -r -d 'most registered devices, 1 to 131072 (1024)'
complete -c hbb -n '__fish_hbb_using_command check' -f -l max-connections -r -d 'most connections beside relayed sessions, 1 to 16384 (256)'
complete -c hbb -n '__fish_hbb_using_command check' -f -l max-sessions -r -d 'most relayed sessions, 1 to 4096 (32)'
complete -c hbb -n '__fish_hbb_using_command check' -f -l registrations-per-minute -r -d 'key registrations from one address (a network has four times it) per minute, 1 to 65535 (32)'
complete -c hbb -n '__fish_hbb_using_command check' -f -l new-peers-per-day -r -d 'new devices from one address (a network has four times it) per day, 1 to 65535 (300)'
complete -c hbb -n '__fish_hbb_using_command check' -f -l forget-after -r -d 'days after which an absent device gives way to a new one if --max-peers are registered, 0 to 65535; its ID is free then (0: never)'
complete -c hbb -n '__fish_hbb_using_command check' -f -l writes-per-day -r -d 'most MiB that registrations may write to flash in a day, 0 to 65535; beyond it they wait (8; 0: no limit)'
complete -c hbb -n '__fish_hbb_using_command check' -f -l quiet-start -d 'after a start, ask no device to register that was here when the server stopped: each comes by itself, within 15 s'
complete -c hbb -n '__fish_hbb_using_command check' -f -l relay-threads -r -d 'threads for relayed sessions: 1 shares the main thread, auto is one per core (1)'
complete -c hbb -n '__fish_hbb_using_command check' -f -l dscp -r -d 'mark relayed traffic with this DSCP, 0 to 63, such as 34 for AF41 (no mark)'
complete -c hbb -n '__fish_hbb_using_command check' -f -l total-bandwidth -r -d 'speed of all relayed sessions together in Mb/s, 1 Mb being 1048576 bits (1024)'
complete -c hbb -n '__fish_hbb_using_command check' -f -l single-bandwidth -r -d 'speed of one session in Mb/s, both directions together (128)'
complete -c hbb -n '__fish_hbb_using_command check' -f -l limit-speed -r -d 'speed of one session of a blacklisted address or after a downgrade, in Mb/s (32)'
complete -c hbb -n '__fish_hbb_using_command check' -f -l downgrade-threshold -r -d 'part of --single-bandwidth; a session that uses more on average is downgraded (0.66)'
complete -c hbb -n '__fish_hbb_using_command check' -f -l downgrade-start-check -r -d 'seconds before a session may be downgraded (1800)'
complete -c hbb -n '__fish_hbb_using_command check' -f -l connection-log -r -d 'who asked for whom, for \'hbb ctl log\': memory, off, log (log lines too) or a FILE too (memory)'
complete -c hbb -n '__fish_hbb_using_command check' -f -l log-level -x -a 'error warn info debug' -d 'error, warn, info, debug or, in debug builds, trace (info)'
complete -c hbb -n '__fish_hbb_using_command ctl' -f -l help -d 'display usage information'
complete -c hbb -n '__fish_hbb_using_command ctl' -f -l control -x -a '(__fish_complete_path)' -d 'PATH of the socket; if not given, that of --flags or --data, else the first that exists of /run/hbb/hbb.sock, /var/run/hbb/hbb.sock and hbb.sock in the working directory'
complete -c hbb -n '__fish_hbb_using_command ctl' -f -l data -x -a '(__fish_complete_path)' -d 'DIR of \'hbb serve --data\''
complete -c hbb -n '__fish_hbb_using_command ctl' -f -l flags -x -a '(__fish_complete_path)' -d 'FILE of \'hbb serve --flags\''
complete -c hbb -n '__fish_hbb_using_command ctl' -f -l json -d 'answer in JSON, errors too, as {"error": "..."}'
complete -c hbb -n '__fish_hbb_using_command ctl' -f -a 'status' -d 'what runs, how full it is, what was dropped'
complete -c hbb -n '__fish_hbb_using_command ctl' -f -a 'peers' -d 'who is registered; also count=NUMBER, part=TEXT, key=old'
complete -c hbb -n '__fish_hbb_using_command ctl' -f -a 'sessions' -d 'who is relayed, with bytes and bytes per second'
complete -c hbb -n '__fish_hbb_using_command ctl' -f -a 'log' -d 'who asked for whom; also id=ID, from=NET, --csv, --lines'
complete -c hbb -n '__fish_hbb_using_command ctl' -f -a 'disconnect' -d 'end a relayed session'
complete -c hbb -n '__fish_hbb_using_command ctl' -f -a 'forget' -d 'delete a device; only it may have its id for a day'
complete -c hbb -n '__fish_hbb_using_command ctl' -f -a 'pending' -d 'with --private: which devices wait to be approved'
complete -c hbb -n '__fish_hbb_using_command ctl' -f -a 'approve' -d 'let one in; its address, if several ask for the id'
complete -c hbb -n '__fish_hbb_using_command ctl' -f -a 'ban' -d 'shut out an id, an address or a network, for good'
complete -c hbb -n '__fish_hbb_using_command ctl' -f -a 'unban' -d 'admit it again'
complete -c hbb -n '__fish_hbb_using_command ctl' -f -a 'bans' -d 'who is shut out'
complete -c hbb -n '__fish_hbb_using_command ctl' -f -a 'limits' -d 'limits and speeds, named as the flags of \'hbb serve\''
complete -c hbb -n '__fish_hbb_using_command ctl' -f -a 'reload' -d 'read the flags file and the lists again, as SIGHUP does'
complete -c hbb -n '__fish_hbb_using_command doctor' -l help -d 'display usage information'
complete -c hbb -n '__fish_hbb_using_command doctor' -l key -r -d 'KEY that clients enter, as \'hbb export\' prints it'
complete -c hbb -n '__fish_hbb_using_command doctor' -l port -r -d 'port of the ID server (21116)'
complete -c hbb -n '__fish_hbb_using_command doctor' -l relay -r -d 'relays that clients are told, HOST[:PORT],... (HOST, at --port + 1)'
complete -c hbb -n '__fish_hbb_using_command doctor' -l single-port -d 'the server has --single-port'
complete -c hbb -n '__fish_hbb_using_command doctor' -l id -r -d 'ID of a device that is online: asks for it, to see the server\'s signature and which relay it is told'
complete -c hbb -n '__fish_hbb_using_command doctor' -l ws -r -d 'URL of the proxy that clients in WebSocket mode reach, http:// or ws://; with https:// or wss:// no more is tried than whether its port is open'
complete -c hbb -n '__fish_hbb_using_command doctor' -l api -r -d 'URL of the API server (http://HOST, at --port - 2)'
complete -c hbb -n '__fish_hbb_using_command doctor' -l skip -r -d 'names of checks to leave out, NAME,...'
complete -c hbb -n '__fish_hbb_using_command doctor' -l from-inside -d 'this machine is in the server\'s network: say whether the router leads its public address back inside (hairpin NAT)'
complete -c hbb -n '__fish_hbb_using_command doctor' -l timeout -r -d 'SECONDS to wait for each answer, 1 to 60 (3); all of it takes four times as long at most'
complete -c hbb -n '__fish_hbb_using_command doctor' -l json -d 'answer in JSON'
complete -c hbb -n '__fish_hbb_using_command import' -l help -d 'display usage information'
complete -c hbb -n '__fish_hbb_using_command import' -l data -x -a '(__fish_complete_path)' -d 'DIR with the store; the working directory if not given'
complete -c hbb -n '__fish_hbb_using_command import' -l merge -r -d 'which device has an ID that is known here already: keep the one here or replace it (keep)'
complete -c hbb -n '__fish_hbb_using_command import' -l dry-run -d 'say what would be done and write nothing'
complete -c hbb -n '__fish_hbb_using_command store' -f -l help -d 'display usage information'
complete -c hbb -n '__fish_hbb_using_command store' -f -l data -x -a '(__fish_complete_path)' -d 'DIR with the store; the working directory if not given'
complete -c hbb -n '__fish_hbb_using_command store' -f -l to -x -a '(__fish_complete_path)' -d 'FILE for what is salvaged, not there yet; hbb.store.salvaged in DIR if not given'
complete -c hbb -n '__fish_hbb_using_command store' -f -a 'check' -d 'read all of the store and change nothing'
complete -c hbb -n '__fish_hbb_using_command store' -f -a 'salvage' -d 'write what a damaged store still holds to a new file'
complete -c hbb -n '__fish_hbb_using_command backup' -l help -d 'display usage information'
complete -c hbb -n '__fish_hbb_using_command backup' -l data -x -a '(__fish_complete_path)' -d 'DIR of \'hbb serve --data\'; the working directory if not given'
complete -c hbb -n '__fish_hbb_using_command backup' -l flags -x -a '(__fish_complete_path)' -d 'FILE of \'hbb serve --flags\', which is backed up and says where the rest is'
complete -c hbb -n '__fish_hbb_using_command backup' -l control -x -a '(__fish_complete_path)' -d 'PATH of the socket for \'hbb ctl\', if the server has it elsewhere'
complete -c hbb -n '__fish_hbb_using_command backup' -l force -d 'replace a file that is there, once the new one is whole'
complete -c hbb -n '__fish_hbb_using_command restore' -l help -d 'display usage information'
complete -c hbb -n '__fish_hbb_using_command restore' -l data -x -a '(__fish_complete_path)' -d 'DIR to put it into; the working directory if not given'
complete -c hbb -n '__fish_hbb_using_command restore' -l flags -x -a '(__fish_complete_path)' -d 'FILE to write the settings to; they are left out if it is not given'
complete -c hbb -n '__fish_hbb_using_command restore' -l force -d 'restore where there are a key or devices already'
complete -c hbb -n '__fish_hbb_using_command restore' -l dry-run -d 'say what is in the backup and change nothing'
complete -c hbb -n '__fish_hbb_using_command rules' -f -l help -d 'display usage information'
complete -c hbb -n '__fish_hbb_using_command rules' -f -l rules -x -a '(__fish_complete_path)' -d 'FILE of \'hbb serve --rules\'; rules.conf in the directory of --data if not given'
complete -c hbb -n '__fish_hbb_using_command rules' -f -l data -x -a '(__fish_complete_path)' -d 'DIR of \'hbb serve --data\'; the working directory if not given'
complete -c hbb -n '__fish_hbb_using_command rules' -f -l flags -x -a '(__fish_complete_path)' -d 'FILE of \'hbb serve --flags\', to take both from it'
complete -c hbb -n '__fish_hbb_using_command rules' -f -l user -r -d 'NAME of the user who is logged in at FROM; nobody if not given'
complete -c hbb -n '__fish_hbb_using_command rules' -f -l at -r -d 'TIME where the rules hold, such as \'Mon 14:00\'; now if not given'
complete -c hbb -n '__fish_hbb_using_command rules' -f -a 'check' -d 'name each wrong line of the rules'
complete -c hbb -n '__fish_hbb_using_command rules' -f -a 'test' -d 'say what they decide of FROM and TO'
