// SPDX-License-Identifier: MIT OR Apache-2.0
'use strict';
'require dom';
'require poll';
'require view';
'require tools.hbb as hbb';

// The text has two rows of modules in a line, light ones drawn, and a row too many at its end.
function drawing(text) {
	const lines = text.split('\n').filter(function(line) { return line; });
	const size = lines[0].length;
	let path = '';
	lines.forEach(function(line, at) {
		for (let x = 0; x < size; x++) {
			const upper = '█▀'.indexOf(line[x]) >= 0, lower = '█▄'.indexOf(line[x]) >= 0;
			if (!upper)
				path += 'M%d %dh1v1h-1z'.format(x, 2 * at);
			if (!lower && 2 * at + 1 < size)
				path += 'M%d %dh1v1h-1z'.format(x, 2 * at + 1);
		}
	});
	// Numbers alone: nothing in it comes from outside.
	return E('div', { 'id': 'hbb-qr', 'style': 'width:%dpx;max-width:100%%'.format(6 * size) },
		('<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="100%%" ' +
		'shape-rendering="crispEdges"><rect width="100%%" height="100%%" fill="#fff"/>' +
		'<path d="%s" fill="#000"/></svg>').format(size, size, path));
}

function copied(id, text) {
	const button = E('button', { 'class': 'btn cbi-button', 'id': id + '-copy' }, [ _('Copy') ]);
	button.addEventListener('click', function() { hbb.copy(text, button); });
	return [ E('code', { 'id': id, 'style': 'overflow-wrap:anywhere' }, [ text ]), ' ', button ];
}

function facts(rows) {
	return E('table', { 'class': 'table' }, rows.map(function(row) {
		return E('tr', { 'class': 'tr' }, [
			E('td', { 'class': 'td left', 'width': '33%' }, [ row[0] ]),
			E('td', { 'class': 'td left' }, row[1])
		]);
	}));
}

function ofLimit(text, count, limit) {
	return [ text.format(count, limit) ];
}

return view.extend({
	load: function() {
		return Promise.all([ hbb.ask('status'), hbb.ask('zones'), hbb.maybe('limits') ])
			.then(L.bind(this.loadExport, this));
	},

	// Without a public name, the one this page was reached by.
	loadExport: function(found) {
		if (!found[0].running)
			return found;
		const host = found[0].public ? null : window.location.hostname;
		return Promise.all([ 'string', 'qr' ].map(function(format) {
			return hbb.maybe('export', { format: format, host: host });
		})).then(function(exports) {
			return found.concat([ exports, host ]);
		});
	},

	renderStatus: function(status) {
		if (!status.running)
			return [ hbb.stopped(), facts([
				[ _('Running'), [ status.enabled ? _('no') : _('no, as it is not enabled') ] ],
				[ _('Version'), [ status.version ] ]
			]) ];
		const peers = status.peers, sessions = status.sessions;
		// What 'hbb check' doubts, in its words.
		const doubts = (status.doubts || []).map(function(doubt) {
			return E('div', { 'class': 'alert-message warning' }, [ doubt ]);
		});
		return doubts.concat([ facts([
			[ _('Running'), [ _('yes, for %s').format(hbb.duration(status.uptime_secs)) ] ],
			[ _('Version'), [ status.version ] ],
			[ _('Public name'), [ status.public || _('none; set it in Settings') ] ],
			[ _('Ports'), [ 'TCP %s, UDP %s'.format(status.tcp_ports.join(' '),
				status.udp_ports.join(' ') || '-') ] ],
			[ _('Devices'), [ _('%d online, %d registered of at most %d')
				.format(peers.online, peers.registered, peers.limit) ] ],
			[ _('Connections'), ofLimit(_('%d of at most %d'), status.connections.open,
				status.connections.limit) ],
			[ _('Relayed sessions'), ofLimit(_('%d of at most %d'), sessions.running,
				sessions.limit) ],
			[ _('Relayed so far'), [ hbb.bytes(status.relayed_bytes) ] ]
		]) ]);
	},

	renderClients: function(status, exports, host) {
		const nodes = [];
		if (host)
			nodes.push(E('p', {}, [ _('For clients that reach the router as %s. To hand out ' +
				'another name, set the public name in Settings.').format(host) ]));
		const rows = [ [ _('Key'), status.key ? copied('hbb-key', status.key) : [ _('none') ] ] ];
		if (exports[0])
			rows.push([ _('Config string'), copied('hbb-config', exports[0].string) ]);
		if (exports[1])
			rows.push([ _('QR code'), [ drawing(exports[1].qr) ] ]);
		return nodes.concat([ facts(rows) ]);
	},

	renderZones: function(zones) {
		const chosen = zones.zones.filter(function(zone) { return zone.tcp || zone.udp; });
		const nodes = [];
		if (!chosen.length)
			nodes.push(E('div', { 'class': 'alert-message notice', 'id': 'hbb-no-zone' }, [
				_('No zone is chosen: clients outside reach hbb only from zones that accept all ' +
				'input. Choose zones in Settings, Firewall.') ]));
		nodes.push(hbb.table('hbb-zones', [ _('Zone'), 'TCP', 'UDP' ],
			zones.zones.map(function(zone) {
				const rest = zone.open ? _('all, as the zone accepts all input') : _('closed');
				return [ [ zone.name ], [ zone.tcp || rest ], [ zone.udp || rest ] ];
			}), _('There are no zones')));
		return nodes;
	},

	renderLimits: function(limits) {
		const names = Object.keys(limits.limits);
		return [ hbb.table('hbb-limits', [ _('Limit'), _('Now') ], names.map(function(name) {
			const field = E('input', { 'class': 'cbi-input-text', 'style': 'width:8em',
				'id': 'hbb-limit-' + name, 'value': limits.limits[name] });
			return [ [ name ], [ field, ' ', hbb.button(_('Set'), 'apply', function() {
				return hbb.ask('set_limit', { name: name, value: field.value.trim() })
					.then(hbb.told);
			}) ] ];
		}), ''), E('p', {}, [ _('Set here, a limit holds until a reload or restart; for good, set ' +
			'it in Settings.') ]),
		hbb.button(_('Reload'), 'reload', function() {
			return hbb.ask('reload').then(function() { window.location.reload(); });
		}) ];
	},

	render: function(found) {
		const status = E('div', { 'id': 'hbb-status' }, this.renderStatus(found[0]));
		poll.add(L.bind(function() {
			return hbb.ask('status').then(L.bind(function(now) {
				dom.content(status, this.renderStatus(now));
			}, this));
		}, this));
		return E('div', {}, [
			E('h2', {}, [ 'hbb' ]),
			E('div', { 'class': 'cbi-section' }, [ status ]),
			found[3] ? hbb.section(_('For clients'),
				this.renderClients(found[0], found[3], found[4])) : '',
			hbb.section(_('Reachable from'), this.renderZones(found[1])),
			found[2] ? hbb.section(_('Limits in force'), this.renderLimits(found[2])) : ''
		]);
	},

	handleSave: null,
	handleSaveApply: null,
	handleReset: null
});
