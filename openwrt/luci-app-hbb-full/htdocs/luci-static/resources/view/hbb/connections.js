// SPDX-License-Identifier: MIT OR Apache-2.0
'use strict';
'require dom';
'require poll';
'require view';
'require tools.hbb as hbb';

// What is loaded at once: the answer of rpcd has an end. The server holds 8,192 at most.
const PAGE = 300;
const SHOWN = 1000;
const TITLES = [ _('When'), _('From'), _('User'), _('To'), _('Outcome'), _('Duration'), _('Carried') ];

const OUTCOMES = {
	waiting: _('waiting'),
	direct: _('direct'),
	lan: _('direct, in one network'),
	relay: _('sent to a relay'),
	relayed: _('relayed'),
	reported: _('direct, by address'),
	'no-answer': _('no answer'),
	offline: _('offline'),
	'unknown-id': _('no such ID'),
	refused: _('refused')
};

return view.extend({
	since: '24h',

	load() {
		return this.loadPage([], 0).catch((error) => error);
	},

	loadPage(known, after) {
		return hbb.ask('log', { since: this.since, after: after, count: PAGE }, 'hbb-full')
			.then((reply) => {
				const all = known.concat(reply.log), last = reply.log[reply.log.length - 1];
				return reply.log.length < PAGE ? all : this.loadPage(all, last.number);
			});
	},

	refresh() {
		return this.load().then((found) => {
			this.found = found;
			this.draw();
		});
	},

	// How a page has it, by columns.
	texts(one) {
		const by = [ one.by_name, one.by ].filter(Boolean).join(', ');
		return [
			one.last == null ? '-' : new Date(one.last * 1000)
				.toLocaleString(document.documentElement.lang || undefined),
			by && one.from ? by + ' (' + one.from + ')' : by || one.from || '-',
			one.user || '-',
			one.to || '-',
			(OUTCOMES[one.outcome] || one.outcome) + (one.reason ? ': ' + one.reason : ''),
			one.secs == null ? '-' : hbb.span(one.secs),
			one.bytes == null ? '-' : hbb.bytes(one.bytes)
		];
	},

	row(texts, one) {
		const cells = texts.map((text, at) => [ at > 0 && at < 4 ? hbb.name(text) : text ]);
		if (one.alarm != null)
			cells[4].push(E('em', { style: 'color:#d33' }, [ ' ', _('wrong passwords') ]));
		return cells;
	},

	// The newest first.
	draw() {
		if (this.found instanceof Error)
			return dom.content(this.list, [ hbb.said(this.found.message) ]);
		const part = this.field.value.trim().toLowerCase(), rows = [];
		this.found.slice().reverse().forEach((one) => {
			const texts = this.texts(one);
			if (rows.length < SHOWN && texts.join(' ').toLowerCase().includes(part))
				rows.push(this.row(texts, one));
		});
		dom.content(this.list, [ hbb.table('hbb-connections', TITLES, rows, _('Nobody connected')) ]);
		this.count.textContent = _('%d of %d').format(rows.length, this.found.length);
	},

	render(found) {
		this.found = found;
		this.list = E('div');
		this.count = E('span');
		this.field = E('input', { class: 'cbi-input-text', id: 'hbb-part',
			placeholder: _('Part of a line'), input: () => this.draw() });
		const spans = [ [ '1h', _('last hour') ], [ '24h', _('last day') ], [ '7d', _('last week') ] ];
		const span = E('select', { class: 'cbi-input-select', id: 'hbb-since',
			'aria-label': _('When'), change: () => {
				this.since = span.value;
				return this.refresh();
			} }, spans.map((one) => E('option', { value: one[0],
			selected: one[0] == this.since ? '' : null }, [ one[1] ])));
		this.draw();
		poll.add(() => this.refresh(), 30);
		return E('div', {}, [
			E('h2', {}, [ _('Connections') ]),
			E('div', { class: 'cbi-map-descr' }, [ _('Who asked for whom, kept in memory. These are ' +
				'addresses of people.') ]),
			E('div', { class: 'cbi-section' }, [ E('p', {}, [ span, ' ', this.field, ' ', this.count ]),
				this.list ])
		]);
	},

	handleSave: null,
	handleSaveApply: null,
	handleReset: null
});
