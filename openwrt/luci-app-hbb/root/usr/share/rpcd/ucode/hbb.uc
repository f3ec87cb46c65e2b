// SPDX-License-Identifier: MIT OR Apache-2.0
//
// The ubus object hbb, in rpcd by rpcd-mod-ucode. Programs are run by rpcd's own 'file exec', so that
// it serves others meanwhile, and without a shell. What a caller gave is checked here, then stands as
// one word of 'hbb ctl --json', whose answer is the method's. An answer with 'error' is a failure.
'use strict';

const fs = require('fs');
const uci = require('uci');
const ubus = require('ubus').connect();

const HBB = '/usr/bin/hbb';
const FLAGS = '/var/etc/hbb/flags';
const WAKER = '/usr/bin/etherwake';
const STOPPED = { error: 'hbb is not running' };

// 'answer' makes the reply of what the program said.
function run(request, program, words, answer) {
	return ubus.defer('file', 'exec', { command: program, params: words }, (code, ended) =>
		request.reply(answer(ended?.stdout ?? '', ended ?? { code: -1 })));
}

function told(text) {
	try {
		return json(text);
	}
	catch (e) {
		return null;
	}
}

// What hbb refuses is JSON too, said by it; that it does not run is said by us.
function ctl(request, words, answer) {
	return run(request, HBB, [ 'ctl', '--control', '/var/run/hbb/hbb.sock', '--json', ...words ],
		(text) => answer ? answer(told(text)) : told(text) ?? STOPPED);
}

function refused(name) {
	return { error: name + ': not possible' };
}

// A word without blanks: 48 bytes are the longest id, behind 'id='.
function fits(text) {
	return length(text) < 52 && !length(filter(split(text, ''), (one) => ord(one) < 33 ||
		ord(one) == 127));
}

// To stand alone: no flag starts with it.
function stands(text) {
	return text != null && text != '' && fits(text) && index(text, '-') != 0;
}

function plain(name) {
	return { call: (request) => ctl(request, [ name ]) };
}

function about(name) {
	return {
		args: { what: '' },
		call: (request) => stands(request.args.what)
			? ctl(request, [ name, request.args.what ]) : refused('what')
	};
}

// Beside what hbb says of itself: whether it runs, starts at boot, and what the init script refused
// when it was last told to start or reload.
function status(request) {
	return ctl(request, [ 'status' ], (said) => {
		const enabled = uci.cursor().get('hbb', 'server', 'enabled');
		return {
			running: said?.version != null,
			boot: length(fs.glob('/etc/rc.d/S*hbb')) > 0,
			refused: filter(split(fs.readfile('/var/etc/hbb.refused') ?? '', '\n'), (line) => line != ''),
			...(said?.version != null ? said : {
				enabled: index([ '0', 'off', 'false', 'no', 'disabled' ], enabled) < 0
			})
		};
	});
}

// Addresses of network cards by those of their devices: of neighbours, and of those with a lease.
function cards() {
	const found = {};
	map(split((fs.readfile('/tmp/dhcp.leases') ?? '') + (fs.readfile('/proc/net/arp') ?? ''), '\n'),
		(line) => {
			const card = match(line, /([0-9a-f][0-9a-f]:)+[0-9a-f][0-9a-f]/);
			if (card && card[0] != '00:00:00:00:00:00')
				map(split(line, ' '), (word) => { found[word] = card[0]; });
		});
	return found;
}

function card_of(all, address) {
	return all[split(address ?? '', ':')[0]];
}

function wake(request) {
	const card = card_of(cards(), request.args.address);
	return card ? run(request, WAKER, [ '-b', '-i', uci.cursor().get('network', 'lan', 'device') ??
		'br-lan', card ], (text, ended) => ended.code ? refused('wake') : { done: card })
		: refused('address');
}

function peers(request) {
	const words = [ 'peers' ];
	map([ 'after', 'count', 'part' ], (name) => {
		const value = request.args[name];
		if (value != null && value != '')
			push(words, name + '=' + value);
	});
	return length(filter(words, fits)) < length(words) ? refused('part')
		: ctl(request, words, (said) => {
			const all = fs.access(WAKER) ? cards() : {};
			map(said?.peers ?? [], (peer) => {
				if (!peer.online && card_of(all, peer.address))
					peer.wake = true;
			});
			return said ?? STOPPED;
		});
}

function export_for_clients(request) {
	const format = request.args.format ?? 'string', host = request.args.host ?? '';
	if (index([ 'text', 'string', 'qr', 'exe' ], format) < 0)
		return refused('format');
	if (index(host, '-') == 0 || match(host, /[^A-Za-z0-9.:-]/))
		return refused('host');
	if (!fs.access(FLAGS))
		return STOPPED;
	return run(request, HBB, [ 'export', '--flags', FLAGS, '--format', format,
		...(host != '' ? [ '--host', host ] : []) ], (text, ended) => {
		const reply = {};
		reply[ended.code ? 'error' : format] = rtrim(ended.code ? ended.stderr : text, '\n');
		return reply;
	});
}

// The little of firewall and network that callers need, so that they need not read all.
function zones(request) {
	return run(request, '/usr/libexec/hbb-firewall', [ 'shown' ], (text) => {
		const config = uci.cursor(), ports = {}, found = [], networks = [];
		const zone = config.get('hbb', 'firewall', 'zone') ?? '';
		const chosen = type(zone) == 'array' ? zone : split(zone, ' ');
		// Those in force, asked from the firewall.
		map(split(text, '\n'), (line) => {
			const words = split(line, ' ');
			ports[words[0] + ' ' + words[1]] = join(' ', slice(words, 2));
		});
		config.foreach('firewall', 'zone', (one) => push(found, {
			name: one.name,
			open: one.input == 'ACCEPT',
			chosen: index(chosen, one.name) >= 0,
			tcp: ports[one.name + ' tcp'] ?? '',
			udp: ports[one.name + ' udp'] ?? ''
		}));
		config.foreach('network', 'interface', (one) => {
			if (one['.name'] != 'loopback')
				push(networks, one['.name']);
		});
		return { method: config.get('hbb', 'firewall', 'method') ?? 'procd', zones: found,
			networks: networks };
	});
}

return { hbb: {
	status: { call: status },
	peers: { args: { after: '', count: 0, part: '' }, call: peers },
	sessions: plain('sessions'),
	bans: plain('bans'),
	limits: plain('limits'),
	reload: plain('reload'),
	zones: { call: zones },
	export: { args: { format: '', host: '' }, call: export_for_clients },
	wake: { args: { address: '' }, call: wake },
	ban: about('ban'),
	unban: about('unban'),
	disconnect: {
		args: { number: 0 },
		call: (request) => stands('' + request.args.number)
			? ctl(request, [ 'disconnect', '' + request.args.number ]) : refused('number')
	},
	forget: {
		args: { id: '', free: true },
		call: (request) => stands(request.args.id)
			? ctl(request, [ 'forget', ...(request.args.free ? [ '--free' ] : []), request.args.id ])
			: refused('id')
	},
	set_limit: {
		args: { name: '', value: '' },
		call: (request) => stands(request.args.name) && stands(request.args.value)
			? ctl(request, [ 'limits', request.args.name, request.args.value ]) : refused('value')
	}
} };
