// SPDX-License-Identifier: MIT OR Apache-2.0
'use strict';
'require dom';
'require poll';
'require ui';
'require view';
'require tools.hbb as hbb';

const OBJECT = 'hbb-full';
const HOURS = 24;

return view.extend({
	load() {
		return hbb.ask('pending', {}, OBJECT).catch((error) => error);
	},

	refresh() {
		return this.load().then((found) => this.draw(found));
	},

	act(method, args) {
		return hbb.ask(method, args, OBJECT).then(() => this.refresh());
	},

	refuse(id) {
		hbb.confirm(_('Refuse %s?').format(id), _('It is not asked for again until you lift the ' +
			'ban, in Settings, Access.'), _('Refuse'), () => this.act('refuse', { id: id }));
	},

	invite() {
		return hbb.ask('invite', { hours: HOURS }, OBJECT).then((made) => {
			const text = 'rustdesk --deploy --token ' + made.code;
			const copy = E('button', { class: 'btn cbi-button', click: () => hbb.copy(text, copy) },
				[ _('Copy') ]);
			ui.showModal([ _('Invitation code') ], [
				E('p', {}, [ _('Run this on the device, as administrator. The code lets one device ' +
					'in, within %d hours and while the server runs.').format(made.hours) ]),
				E('pre', { id: 'hbb-code', style: 'user-select:all' }, [ text ]),
				E('div', { class: 'right' }, [ copy, ' ',
					E('button', { class: 'btn', click: ui.hideModal }, [ _('Close') ]) ])
			]);
		});
	},

	// What is shown of one, by columns.
	texts(waiting) {
		return [ waiting.id, waiting.address, hbb.span(waiting.waiting_secs),
			_('%s ago').format(hbb.span(waiting.seen_secs)) ];
	},

	row(waiting) {
		const cells = this.texts(waiting).map((text) => [ text ]), id = waiting.id;
		cells[0] = [ E('strong', {}, [ hbb.name(id) ]) ];
		if (!waiting.proved)
			cells[1].push(E('em', {}, [ ' ', _('may be forged') ]));
		return cells.concat([ [ hbb.button(_('Approve'), 'positive', () => this.act('approve',
			{ id: 'id=' + id, address: waiting.address })), ' ',
		hbb.button(_('Refuse'), 'negative', () => this.refuse(id)) ] ]);
	},

	// Those who asked last come first. What says the same stays, so that buttons can be pressed.
	draw(found) {
		const waiting = (found.pending || []).reverse();
		const made = JSON.stringify([ found.message, found.private, found.accounts,
			waiting.map((one) => this.texts(one).concat(one.proved)) ]);
		if (made == this.made)
			return;
		this.made = made;
		if (found instanceof Error)
			return dom.content(this.list, [ hbb.said(found.message) ]);
		if (!found.private)
			return dom.content(this.list, [ E('div', { class: 'alert-message' },
				[ _('Every device may register here. To approve each new one first, see Accounts.') ]) ]);
		dom.content(this.list, [
			hbb.table('hbb-waiting', [ _('ID'), _('Address'), _('Waiting for'), _('Last asked'), '' ],
				waiting.map((one) => this.row(one)), _('No device waits')),
			E('p', {}, found.accounts ? [ hbb.button(_('Invite a device'), 'add', () => this.invite()) ]
				: [ _('With accounts switched on, codes can let devices in that nobody sees waiting.') ])
		]);
	},

	render(found) {
		this.list = E('div', { class: 'cbi-section' });
		this.draw(found);
		poll.add(() => this.refresh(), 10);
		return E('div', {}, [
			E('h2', {}, [ _('New devices') ]),
			E('div', { class: 'cbi-map-descr' }, [ _('They wait until you let them in. Compare the ID ' +
				'with the screen of the device.') ]),
			this.list
		]);
	},

	handleSave: null,
	handleSaveApply: null,
	handleReset: null
});
