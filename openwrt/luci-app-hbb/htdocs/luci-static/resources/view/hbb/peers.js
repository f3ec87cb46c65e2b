// SPDX-License-Identifier: MIT OR Apache-2.0
'use strict';
'require dom';
'require poll';
'require view';
'require tools.hbb as hbb';

// What is loaded at once: the answer of rpcd has an end.
const PAGE = 500;
const MOST = 1000;

// By what is sorted, and how it is called.
const COLUMNS = [
	[ 'id', _('ID') ],
	[ 'name', _('Name') ],
	[ 'address', _('Address') ],
	[ 'seen', _('Last seen') ],
	[ 'first_seen', _('First seen') ]
];

return view.extend({
	wanted: MOST,
	sort: 'id',
	down: false,
	// Rows by id, with the text they were made of.
	rows: {},

	load() {
		return Promise.all([ this.loadPeers([]), hbb.ask('bans') ]).catch((error) => error);
	},

	// Page after page, until there are as many as wanted.
	loadPeers(known, after) {
		const asked = { count: Math.min(PAGE, this.wanted - known.length), after: after,
			part: this.part || null };
		return hbb.ask('peers', asked).then((reply) => {
			const peers = known.concat(reply.peers);
			return reply.next == null || peers.length >= this.wanted
				? { peers: peers, more: reply.next != null } : this.loadPeers(peers, reply.next);
		});
	},

	refresh() {
		return this.load().then((found) => {
			this.found = found;
			this.draw();
		});
	},

	act(method, args) {
		return hbb.ask(method, args).then(() => this.refresh());
	},

	forget(id) {
		const forget = (args) => () => this.act('forget', args);
		hbb.confirm(_('Forget %s?').format(id), _('For a day only this device may have ' +
			'its ID again. Or give it to a new one: then start RustDesk there within ten minutes.'),
		_('Forget'),
		forget({ id: 'id=' + id }), [ _('Give this ID to a new device'),
			forget({ id: 'id=' + id, free: true }) ]);
	},

	ban(id) {
		hbb.confirm(_('Ban %s?').format(id), _('It is served no more until the ban is lifted.'),
			_('Ban'), () => this.act('ban', { what: 'id=' + id }));
	},

	// What is shown of a device, by columns.
	texts(peer) {
		const ago = (secs) => secs == null ? '-' : _('%s ago').format(hbb.span(secs));
		return {
			name: [ peer.name, peer.system, peer.user ].filter(Boolean).join(', '),
			id: peer.id,
			address: peer.online ? '%s (%s)%s'.format(peer.address, peer.transport,
				peer.also_at ? ' + ' + peer.also_at : '') : '-',
			seen: peer.online ? _('online for %s').format(hbb.span(peer.online_secs))
				: ago(peer.seen_secs),
			first_seen: ago(peer.first_seen && Math.max(0, Date.now() / 1000 - peer.first_seen))
		};
	},

	// The one that is there, if it says the same.
	peerRow(peer, titles) {
		const texts = this.texts(peer), id = peer.id, bans = this.found[1].bans;
		const banned = bans.find((what) => what == id || what == 'id=' + id);
		const cells = COLUMNS.map((column) => texts[column[0]]), kept = this.rows[id];
		const made = JSON.stringify([ cells, peer.online, banned, peer.wake ]);
		if (kept && kept.made == made)
			return kept.node;
		const nodes = cells.map((text, at) => at ? [ at > 1 ? text : hbb.name(text) ] : [
			hbb.dot(peer.online ? '#2a2' : '#999'), ' ', E('strong', {}, [ hbb.name(id) ]),
			banned ? E('em', { style: 'color:#d33' }, [ ' ', _('banned') ]) : '' ]);
		nodes.push([ peer.wake ? hbb.button(_('Wake'), 'apply',
			() => this.act('wake', { address: peer.address })) : '', ' ', hbb.button(_('Forget'), 'remove', () => this.forget(id)), ' ', banned
			? hbb.button(_('Lift ban'), 'positive', () => this.act('unban', { what: banned }))
			: hbb.button(_('Ban'), 'negative', () => this.ban(id)) ]);
		this.rows[id] = { made: made, node: hbb.row(titles, nodes) };
		return this.rows[id].node;
	},

	// Texts by the order of a language; when, by how long ago, with who is online first.
	compare(one, other) {
		const sort = this.sort;
		const of = (peer) => sort == 'seen' ? (peer.online ? -1 / (1 + peer.online_secs)
			: peer.seen_secs ?? Infinity) : peer[sort] || '';
		const first = of(one), second = of(other);
		const order = typeof first == 'number' ? first - second
			: (first + '').localeCompare(second, undefined, { numeric: true });
		return this.down ? -order : order;
	},

	draw() {
		this.more.style.display = this.found[0]?.more ? '' : 'none';
		if (this.found instanceof Error)
			return dom.content(this.peers, [ hbb.said(this.found.message) ]);
		const all = this.found[0].peers, part = this.field.value.trim().toLowerCase();
		const titles = COLUMNS.map((column) => column[1] +
			(column[0] == this.sort ? (this.down ? ' ▼' : ' ▲') : '')).concat('');
		const shown = all.filter((peer) => [ peer.id, peer.address, peer.name ].join().toLowerCase().includes(part))
			.sort((one, other) => this.compare(one, other));
		const table = hbb.table('hbb-peers', titles, shown.map((peer) =>
			this.peerRow(peer, titles)), _('No such devices'));
		table.firstChild.childNodes.forEach((title, at) => {
			if (!COLUMNS[at])
				return;
			const by = COLUMNS[at][0];
			title.style.cursor = 'pointer';
			title.addEventListener('click', () => {
				this.down = this.sort == by && !this.down;
				this.sort = by;
				this.draw();
			});
		});
		dom.content(this.peers, [ table ]);
		this.count.textContent = _('%d of %d').format(shown.length, all.length);
	},

	render(found) {
		this.found = found;
		this.peers = E('div');
		this.count = E('span');
		this.field = E('input', { class: 'cbi-input-text', id: 'hbb-part',
			placeholder: _('Part of an ID or address'), input: () => this.draw(),
			// What is not loaded is searched by the server, by its ID.
			change: () => {
				if (this.part || this.found[0].more) {
					this.part = this.field.value.trim();
					return this.refresh();
				}
			} });
		this.more = E('button', { class: 'btn cbi-button', id: 'hbb-more', click: () => {
			this.wanted += MOST;
			return this.refresh();
		} }, [ _('Show more') ]);
		this.draw();
		poll.add(() => this.refresh(), 10);
		return E('div', {}, [
			E('h2', {}, [ _('Devices') ]),
			E('div', { class: 'cbi-section' }, [ E('p', {}, [ this.field, ' ', this.count ]),
				this.peers, this.more ])
		]);
	},

	handleSave: null,
	handleSaveApply: null,
	handleReset: null
});
