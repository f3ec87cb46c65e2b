// SPDX-License-Identifier: MIT OR Apache-2.0
'use strict';
'require form';
'require uci';
'require view';
'require tools.hbb as hbb';

const SECTIONS = [ 'server', 'relay', 'limits', 'lists', 'firewall' ];
const CIDR = 'or(ipaddr, cidr)';

return view.extend({
	load() {
		return Promise.all([ hbb.ask('zones'), hbb.ask('status'), uci.load('hbb') ]).then((found) => {
			// A configuration of an older version may lack some.
			SECTIONS.forEach((name) => {
				if (!uci.get('hbb', name))
					uci.add('hbb', name, name);
			});
			return found;
		});
	},

	// What follows is of this tab, and of this section of the file.
	tab(section, title) {
		this.at = [ title, section ];
		this.one.tab(title, title);
	},

	option(kind, name, text) {
		const section = this.at[1];
		const option = this.one.taboption(this.at[0], kind, name, hbb.names[name], text);
		option.ucisection = section;
		option.ucioption = name.replace(section + '_', '');
		return option;
	},

	value(name, text, type, placeholder) {
		const option = this.option(form.Value, name, text);
		option.datatype = type;
		option.placeholder = placeholder;
		option.rmempty = true;
		return option;
	},

	// Shown in another unit than it is kept in; seconds are whole.
	scaled(name, type, placeholder, times) {
		const option = this.value(name, null, type, placeholder), at = this.at[1];
		const round = (number, parts) => String(Math.round(number * parts) / parts);
		option.load = () => {
			const kept = uci.get('hbb', at, name);
			return kept == null ? kept : round(kept * times, 1e6);
		};
		option.write = (_section, shown) =>
			uci.set('hbb', at, name, round(shown / times, times < 1 ? 1 : 1e6));
	},

	flag(name, text, on) {
		const option = this.option(form.Flag, name, text);
		option.default = on ? '1' : '0';
		option.rmempty = false;
	},

	choice(name, text, values) {
		const option = this.option(form.ListValue, name, text);
		values.forEach((one) => option.value(one[0], one[1]));
		option.default = values[0][0];
	},

	list(name, text, type) {
		const option = this.option(form.DynamicList, name, text);
		option.datatype = type;
		return option;
	},

	network(name, text, networks, placeholder) {
		const option = this.value(name, text, 'uciname', placeholder);
		networks.forEach((one) => option.value(one));
	},

	general(zones) {
		this.tab('server', _('General'));
		this.flag('enabled', _('Off, nothing runs and nothing is open.'), true);
		this.value('public', _('The name or address of this router on the internet.'),
			'host', 'router.example.org');
		this.at[1] = 'firewall';
		const zone = this.list('zone', _('Zones that may come in; without wan nobody on the ' +
			'internet gets in. Zones that accept everything, as lan, need not be named.'), 'string');
		zones.forEach((one) => zone.value(one.name));
		this.at[1] = 'server';
		this.flag('require_key', _('Serve only clients that have it.'), true);
	},

	relay() {
		this.tab('server', _('Relay'));
		this.flag('always_use_relay', null);
		this.at[1] = 'relay';
		this.value('relay_port', null, 'and(port, min(1024), max(65533))', '21117');
		this.list('relay_servers', _('Used in turn in place of this one, as name or name:port.'),
			'or(hostport, host)');
		this.value('relay_threads', _('auto is one a core.'), 'or("auto", range(1,64))', '1');
		this.value('dscp', null,
			'range(0,63)', _('none'));
	},

	access() {
		this.tab('lists', _('Access'));
		this.list('blocklist', _('Addresses or networks that are not served.'), CIDR);
		this.list('blacklist', _('Addresses or networks whose sessions are slowed down.'), CIDR);
		this.at[1] = 'limits';
		this.value('registrations_per_minute', null, 'range(1,65535)', '32');
		this.value('new_peers_per_day', null, 'range(1,65535)', '300');
		const bans = this.one.taboption(this.at[0], form.DummyValue, '_bans', _('Banned'),
			_('At once, and for good.'));
		bans.renderWidget = () => hbb.bans();
	},

	limits() {
		this.tab('limits', _('Limits'));
		const fits = _('what fits this router');
		this.value('max_peers', null, 'range(1,131072)', fits);
		this.value('forget_after', null, 'range(0,65535)', _('never'));
		this.value('max_connections', null, 'range(1,16384)', fits);
		this.value('max_sessions', null, 'range(1,4096)', fits);
		this.value('total_bandwidth', null, 'ufloat', '1024');
		this.value('single_bandwidth', null, 'ufloat', '128');
		this.scaled('downgrade_threshold', 'range(0,100)', '66', 100);
		this.scaled('downgrade_start_check', 'ufloat', '30', 1 / 60);
		this.value('limit_speed', null, 'ufloat', '32');
		this.value('writes_per_day', _('It spares the flash; 0 for any.'), 'range(0,65535)', fits);
	},

	advanced(networks) {
		this.tab('server', _('Advanced'));
		this.choice('role', null, [ [ 'all', _('ID server and relay') ],
			[ 'rendezvous', _('ID server alone') ], [ 'relay', _('Relay alone') ] ]);
		this.value('port', _('UDP and TCP, TCP one below; browsers use that two above.'),
			'and(port, min(1025), max(65532))', '21116');
		this.flag('single_port', _('The relay too is on this port. Needs a public name.'));
		this.flag('no_api_port', _('Leaves the port two below to it.'));
		const key = this.value('key', _('The public key of the ID server, for a relay alone.'), 'string');
		// 64 bytes are a secret one, and these settings can be read by others.
		key.validate = (_section, text) => text.length < 80 ||
			_('This is secret: put it into a file.');
		this.value('key_file', _('With the secret key; readable by the user hbb.'), 'file',
			'/mnt/sda1/id_ed25519');
		this.value('data', _('For key and devices alone. Lose the key, and every client needs ' +
			'a new one.'), 'directory', '/etc/hbb');
		this.network('lan', _('Its devices meet directly, all others over the relay.'), networks,
			_('by the interfaces'));
		this.network('interface', _('The IPv4 address of this network.'), networks,
			_('all addresses'));
		this.list('trusted_proxies', _('They may say where their clients are.'),
			CIDR);
		this.choice('proxy_header', null,
			[ [ 'x-real-ip' ], [ 'x-forwarded-for' ] ]);
		this.flag('proxy_protocol', null);
		this.flag('quiet_start', _('After a restart, devices come by themselves within 15 s.'));
		this.flag('mdns', _('In your network, by umdns.'), true);
		this.choice('log_level', null, [ [ 'info', _('info') ], [ 'error', _('error') ],
			[ 'warn', _('warning') ], [ 'debug', _('debug') ] ]);
	},

	render(found) {
		const map = new form.Map('hbb', _('RustDesk Server'), _('What is refused after Save & Apply ' +
			'is told here; until then the server goes on as before.'));
		this.one = map.section(form.NamedSection, 'server', 'server');
		this.general(found[0].zones);
		this.relay();
		this.access();
		this.limits();
		this.advanced(found[0].networks);
		return map.render().then((node) => E('div', {}, hbb.alerts(found[1]).concat(node)));
	}
});
