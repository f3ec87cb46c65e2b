// SPDX-License-Identifier: MIT OR Apache-2.0
'use strict';
'require dom';
'require fs';
'require poll';
'require uci';
'require ui';
'require view';
'require tools.hbb as hbb';

// The text has two rows of modules in a line, light ones drawn, and a row too many at its end.
function drawing(text) {
	const lines = text.split('\n').filter((line) => line);
	const size = lines[0].length;
	let path = '';
	lines.forEach((line, at) => {
		for (let x = 0; x < size; x++) {
			if (!'█▀'.includes(line[x]))
				path += 'M%d %dh1v1h-1z'.format(x, 2 * at);
			if (!'█▄'.includes(line[x]) && 2 * at + 1 < size)
				path += 'M%d %dh1v1h-1z'.format(x, 2 * at + 1);
		}
	});
	// Numbers alone: nothing in it comes from outside.
	return E('div', { id: 'hbb-qr', style: 'width:%dpx;max-width:100%%'.format(6 * size) },
		('<svg viewBox="0 0 %d %d" style="background:#fff" shape-rendering="crispEdges">' +
		'<path d="%s"/></svg>').format(size, size, path));
}

function copied(id, text) {
	const button = E('button', { class: 'btn cbi-button', id: id + '-copy' }, [ _('Copy') ]);
	button.addEventListener('click', () => hbb.copy(text, button));
	return [ button, ' ', E('code', { id: id, style: 'overflow-wrap:anywhere' }, [ text ]) ];
}

function facts(rows) {
	return E('table', { class: 'table' }, rows.map((row) => E('tr', { class: 'tr' }, [
		E('td', { class: 'td left', width: '33%' }, [ row[0] ]),
		E('td', { class: 'td left' }, row[1])
	])));
}

return view.extend({
	load() {
		return Promise.all([ hbb.ask('status'), hbb.ask('zones') ]).then((found) =>
			this.loadExport(found[0]).then((exports) => found.concat(exports)));
	},

	// Without a public name, for the one this page was reached by.
	loadExport(status) {
		const host = status.public ? null : window.location.hostname.replace(/[[\]]/g, '');
		const give = (format) => hbb.maybe('export', { format: format, host: host });
		return status.running && status.role != 'relay'
			? Promise.all([ host ].concat([ 'text', 'string', 'exe', 'qr' ].map(give)))
			: Promise.resolve([]);
	},

	// The script's own words are on stderr.
	service(action) {
		return fs.exec('/etc/init.d/hbb', [ action ]).then((ended) => {
			if (ended.code)
				throw new Error((ended.stderr || '').replace(/^hbb: /, '').split('\n')[0]);
			return new Promise((done) => window.setTimeout(done, 1000));
		}).then(() => this.load()).then((found) => this.draw(found));
	},

	renderState(status) {
		const button = (text, kind, action) => hbb.button(text, kind, () => this.service(action));
		const boot = E('input', { type: 'checkbox', id: 'hbb-boot',
			checked: status.boot ? '' : null, disabled: L.hasViewPermission() ? null : '',
			change: () => this.service(boot.checked ? 'enable' : 'disable')
				.catch((error) => hbb.complain(error)) });
		const state = status.running ? [ '#2a2', _('Running'), button(_('Stop'), 'negative', 'stop'),
			' ', button(_('Restart'), 'reload', 'restart') ]
			: status.enabled ? [ '#d33', _('Stopped'), button(_('Start'), 'positive', 'start') ]
			: [ '#999', _('Switched off in Settings') ];
		return [ hbb.dot(state[0]), ' ', E('strong', {}, [ state[1] ]), ' ' ].concat(state.slice(2),
			[ ' ', E('label', { style: 'display:inline-block' }, [ boot, ' ', _('Start at boot') ]) ]);
	},

	renderFacts(status) {
		const rows = [], peers = status.peers, sessions = status.sessions;
		if (status.running)
			rows.push([ _('Version'), [ status.version ] ],
				[ _('Running for'), [ hbb.span(status.uptime_secs) ] ],
				[ hbb.names.public, [ status.public || _('none') ] ],
				[ _('Ports'), [ 'TCP %s, UDP %s'.format(status.tcp_ports.join(' '),
					status.udp_ports.join(' ') || '-') ] ]);
		if (peers)
			rows.push([ _('Devices'), [ _('%d online, %d registered of at most %d')
				.format(peers.online, peers.registered, peers.limit) ] ]);
		if (sessions)
			rows.push([ _('Relayed sessions'), [ _('%d of at most %d')
				.format(sessions.running, sessions.limit) ] ],
				[ _('Relayed so far'), [ hbb.bytes(status.relayed_bytes) ] ]);
		return facts(rows);
	},

	renderClients(status, host, text, string, exe, qr) {
		if (status.role == 'relay')
			return [ _('This router only relays: its ID server has what clients need.') ];
		if (!text)
			return [ _('Shown while the server runs.') ];
		const rows = [ [ _('ID server'), copied('hbb-id', text.text.match(/: +(.*)/)[1]) ] ];
		if (status.key)
			rows.push([ _('Key'), copied('hbb-key', status.key) ]);
		if (string)
			rows.push([ _('Config string'), copied('hbb-config', string.string) ]);
		if (qr)
			rows.push([ _('QR code'), [ drawing(qr.qr) ] ]);
		if (exe)
			rows.push([ _('Windows'), copied('hbb-exe', exe.exe).concat([ E('br'),
				E('a', { href: 'https://rustdesk.com/', target: '_blank', rel: 'noreferrer' },
					[ _('Download RustDesk') ]), ' ', _('and give it this name.') ]) ]);
		return [ host ? E('p', {}, [ _('For clients that reach the router as %s; for others set the ' +
			'public name in Settings.').format(host) ]) : '', facts(rows) ];
	},

	// Through LuCI's own way of changing settings, so that a mistake is rolled back.
	open(name, opened) {
		return uci.load('hbb').then(() => {
			const zones = L.toArray(uci.get('hbb', 'firewall', 'zone'));
			if (!uci.get('hbb', 'firewall'))
				uci.add('hbb', 'firewall', 'firewall');
			uci.set('hbb', 'firewall', 'zone',
				opened ? zones.concat(name) : zones.filter((zone) => zone != name));
			return uci.save();
		}).then(() => ui.changes.apply(true));
	},

	renderZones(status, zones) {
		const state = (zone) => zone.open ? [ hbb.dot('#2a2'), ' ',
			_('open: the zone accepts everything') ]
			: zone.tcp || zone.udp ? [ hbb.dot('#2a2'), ' ', _('open: TCP %s, UDP %s')
				.format(zone.tcp || '-', zone.udp || '-') ]
			: !zone.chosen ? [ hbb.dot('#999'), ' ', _('closed: you did not open it') ]
			: [ hbb.dot('#d33'), ' ', status.running ? _('closed: the firewall lacks the rules; ' +
				'restart, or see Log') : _('closed: the server does not run') ];
		return [
			zones.some((zone) => zone.chosen) ? '' : E('div', { class: 'alert-message notice' },
				[ _('Nobody outside gets in. Open the zone they come from, mostly wan.') ]),
			hbb.table('hbb-zones', [ _('Zone'), _('Reachable'), '' ], zones.map((zone) => [
				[ zone.name ], state(zone), zone.open ? [] : [ zone.chosen
					? hbb.button(_('Close'), 'negative', () => this.open(zone.name, false))
					: hbb.button(_('Open'), 'positive', () => this.open(zone.name, true)) ]
			]), _('There are no zones'))
		];
	},

	draw(found) {
		const status = found[0], parts = this.parts;
		// Buttons are left alone as long as they are the same.
		const state = JSON.stringify([ status.running, status.enabled, status.boot ]);
		if (state != this.state || found[1]) {
			this.state = state;
			dom.content(parts[1], this.renderState(status));
		}
		dom.content(parts[0], hbb.alerts(status));
		dom.content(parts[2], this.renderFacts(status));
		if (found[1]) {
			dom.content(parts[3], this.renderClients.apply(this, [ status ].concat(found.slice(2))));
			dom.content(parts[4], this.renderZones(status, found[1].zones));
		}
	},

	render(found) {
		this.parts = [ 'alerts', 'state', 'status', 'clients', 'reach' ]
			.map((name) => E('div', { id: 'hbb-' + name }));
		this.draw(found);
		poll.add(() => hbb.ask('status').then((status) => this.draw([ status ])));
		const parts = this.parts;
		return E('div', {}, [
			E('h2', {}, [ _('RustDesk Server') ]),
			E('div', { class: 'cbi-map-descr' }, [ _('Lets your RustDesk devices find each other, ' +
				'and relays where there is no direct path.') ]),
			parts[0],
			parts[1],
			hbb.section(_('For clients'), [ parts[3] ]),
			hbb.section(_('Reachable from'), [ parts[4] ]),
			E('div', { class: 'cbi-section' }, [ parts[2] ])
		]);
	},

	handleSave: null,
	handleSaveApply: null,
	handleReset: null
});
