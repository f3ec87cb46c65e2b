// SPDX-License-Identifier: MIT OR Apache-2.0
'use strict';
'require form';
'require uci';
'require view';
'require tools.hbb as hbb';

const SECTIONS = [ 'server', 'relay', 'limits', 'lists', 'firewall' ];

function value(section, name, title, text, type, placeholder) {
	const option = section.option(form.Value, name, title, text);
	option.datatype = type;
	option.placeholder = placeholder;
	option.rmempty = true;
	return option;
}

function flag(section, name, title, text, on) {
	const option = section.option(form.Flag, name, title, text);
	option.default = on ? '1' : '0';
	option.rmempty = false;
	return option;
}

function choice(section, name, title, text, values) {
	const option = section.option(form.ListValue, name, title, text);
	values.forEach(function(one) { option.value(one[0], one[1]); });
	option.default = values[0][0];
	return option;
}

function list(section, name, title, text, type) {
	const option = section.option(form.DynamicList, name, title, text);
	option.datatype = type;
	return option;
}

function network(section, name, title, text, networks, placeholder) {
	const option = value(section, name, title, text, 'uciname', placeholder);
	networks.forEach(function(one) { option.value(one); });
}

function server(s, networks) {
	flag(s, 'enabled', _('Enabled'), null, true);
	value(s, 'public', _('Public name'),
		_('The name or address that clients outside reach this router by.'), 'host',
		'router.example.org');
	value(s, 'port', _('Port'), _('ID server: UDP and TCP here, TCP one below, WebSocket two ' +
		'above.'), 'and(port, min(1025), max(65532))', '21116');
	flag(s, 'single_port', _('Single port'),
		_('Everything, the relay too, on this port alone. Needs a public name.'));
	flag(s, 'no_api_port', _('API server elsewhere'), _('Leaves the port two below to it; else ' +
		'clients that look for one there are told that there is none.'));
	choice(s, 'role', _('Role'), null, [ [ 'all', _('ID server and relay') ],
		[ 'rendezvous', _('ID server alone') ], [ 'relay', _('Relay alone') ] ]);
	flag(s, 'require_key', _('Require key'),
		_('Only clients that show the public key are served.'), true);
	value(s, 'key', _('Key'), _('Another key than that in the data directory; for a relay alone, ' +
		'the public key of the ID server.'), 'string').password = true;
	value(s, 'key_file', _('Key file'), _('The secret key, if it is not in the data directory; ' +
		'the user hbb must be able to read it.'), 'file', '/mnt/sda1/id_ed25519');
	flag(s, 'always_use_relay', _('Always relay'), _('No direct paths between devices.'));
	network(s, 'lan', _('Local network'), _('Its devices meet each other ' +
		'directly, all others over the relay. Without, hbb goes by the interfaces.'), networks,
		_('none'));
	network(s, 'interface', _('Listen on'), _('This network\'s IPv4 address alone; all addresses ' +
		'if empty.'), networks, _('all'));
	list(s, 'trusted_proxies', _('Trusted proxies'), _('Addresses of proxies that may say where ' +
		'their clients are.'), 'or(ipaddr, cidr)');
	choice(s, 'proxy_header', _('Proxies\' header'), _('In which they say so to WebSockets.'),
		[ [ 'x-real-ip', 'X-Real-IP' ], [ 'x-forwarded-for', 'X-Forwarded-For' ] ]);
	flag(s, 'proxy_protocol', _('PROXY protocol'),
		_('They begin every other TCP connection with it.'));
	flag(s, 'quiet_start', _('Quiet start'),
		_('After a restart, devices that were here come by themselves, within 15 s, unasked.'));
	flag(s, 'mdns', _('Announce'), _('By mDNS as _hbb._tcp, where umdns is installed.'), true);
	value(s, 'data', _('Data directory'), _('For the key and the devices, and nothing else. Lose ' +
		'the key and every client needs a new one.'), 'directory', '/etc/hbb');
	choice(s, 'log_level', _('Log level'), null, [ [ 'info', _('info') ], [ 'error', _('error') ],
		[ 'warn', _('warning') ], [ 'debug', _('debug') ] ]);
}

function relay(s) {
	value(s, 'port', _('Port'), _('The one above the ID server\'s if empty. WebSocket is two ' +
		'above.'), 'and(port, min(1024), max(65533))', '21117');
	list(s, 'servers', _('Other relays'), _('Handed out in turn in place of this one, as name or ' +
		'name:port.'), 'or(hostport, host)');
	value(s, 'threads', _('Threads'), _('auto: one a core.'), 'or("auto", range(1,64))', '1');
	value(s, 'dscp', _('DSCP'), _('Mark of relayed traffic.'), 'range(0,63)', _('none'));
}

function limits(s) {
	[
		[ 'max_peers', _('Devices'), 'range(1,131072)', _('by memory') ],
		[ 'max_connections', _('Connections'), 'range(1,16384)', _('by memory') ],
		[ 'max_sessions', _('Relayed sessions'), 'range(1,4096)', _('by memory') ],
		[ 'registrations_per_minute', _('Registrations a minute and address'), 'range(1,65535)',
			'32' ],
		[ 'new_peers_per_day', _('New devices a day and address'), 'range(1,65535)', '300' ],
		[ 'writes_per_day', _('MiB written to flash a day'), 'range(0,65535)', _('by memory') ],
		[ 'total_bandwidth', _('Mb/s of all sessions'), 'ufloat', '1024' ],
		[ 'single_bandwidth', _('Mb/s of one session'), 'ufloat', '128' ],
		[ 'limit_speed', _('Mb/s of a slowed session'), 'ufloat', '32' ],
		[ 'downgrade_threshold', _('Part of its speed that slows a session'), 'ufloat', '0.66' ],
		[ 'downgrade_start_check', _('Seconds before it may be slowed'), 'uinteger', '1800' ]
	].forEach(function(one) { value(s, one[0], one[1], null, one[2], one[3]); });
}

function lists(s) {
	list(s, 'blacklist', _('Slowed'), _('Addresses or networks whose sessions are slowed.'),
		'or(ipaddr, cidr)');
	list(s, 'blocklist', _('Blocked'), _('Addresses or networks that are not served.'),
		'or(ipaddr, cidr)');
}

function firewall(s, zones) {
	const option = list(s, 'zone', _('Zones'), _('From these the ports are reachable. Zones that ' +
		'accept all input need no rules; without any zone nobody outside gets in.'), 'string');
	zones.forEach(function(zone) { option.value(zone.name); });
	choice(s, 'method', _('Rules'), null, [ [ 'procd', _('only while hbb runs') ],
		[ 'uci', _('in the firewall\'s configuration') ] ]);
}

return view.extend({
	load: function() {
		return Promise.all([ hbb.ask('zones'), uci.load('hbb') ]).then(function(found) {
			// A configuration of an older version may lack some.
			SECTIONS.forEach(function(name) {
				if (!uci.get('hbb', name))
					uci.add('hbb', name, name);
			});
			return found;
		});
	},

	render: function(found) {
		const map = new form.Map('hbb', _('Settings'), _('What is wrong after Save & Apply stands ' +
			'in the log; until it is mended, hbb goes on with what it had.'));
		const section = function(name, title) {
			const one = map.section(form.NamedSection, name, name, title);
			one.anonymous = true;
			return one;
		};
		server(section('server', _('Server')), found[0].networks);
		relay(section('relay', _('Relay')));
		limits(section('limits', _('Limits')));
		lists(section('lists', _('Lists')));
		firewall(section('firewall', _('Firewall')), found[0].zones);
		return map.render();
	}
});
