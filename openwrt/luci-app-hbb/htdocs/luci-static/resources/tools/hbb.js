// SPDX-License-Identifier: MIT OR Apache-2.0
// What the views of hbb share. Text, of the daemon or not, stands in arrays or text nodes: LuCI
// takes a bare string for HTML, that of a title too.
'use strict';
'require baseclass';
'require rpc';
'require ui';

function two(number) {
	return (number < 10 ? '0' : '') + number;
}

return baseclass.extend({
	// Calls a method of the ubus object; what it refuses is an Error.
	ask: function(method, args) {
		const names = Object.keys(args || {}).filter(function(name) { return args[name] != null; });
		return rpc.declare({
			object: 'hbb',
			method: method,
			params: names,
			expect: {},
			reject: true
		}).apply(rpc, names.map(function(name) { return args[name]; }))
			.then(function(reply) {
				if (reply.error)
					throw new Error(reply.error);
				return reply;
			});
	},

	// For what a page can do without: null in place of an Error.
	maybe: function(method, args) {
		return this.ask(method, args).catch(function() { return null; });
	},

	told: function(reply) {
		ui.addNotification(null, E('p', {}, [ reply.done ]), 'info');
	},

	complain: function(error) {
		ui.addNotification(null, E('p', {}, [ error.message ]), 'error');
	},

	// A button that does one thing, tells if it failed, and has the page drawn anew.
	button: function(text, kind, act) {
		const self = this;
		return E('button', {
			'class': 'btn cbi-button cbi-button-' + kind,
			'disabled': L.hasViewPermission() ? null : '',
			'click': ui.createHandlerFn(this, function() {
				return Promise.resolve(act()).catch(function(error) { self.complain(error); });
			})
		}, [ text ]);
	},

	// An id as 'hbb ctl' takes it, whatever it looks like.
	named: function(id) {
		return 'id=' + id;
	},

	// Asks first; 'act' gives a promise. There may be another choice, a text and what it does.
	confirm: function(title, question, text, act, another) {
		const choice = L.bind(function(choice) {
			return [ ' ', this.button(choice[0], 'negative', function() {
				ui.hideModal();
				return choice[1]();
			}) ];
		}, this);
		ui.showModal([ title ], [
			E('p', {}, [ question ]),
			E('div', { 'class': 'right' }, [
				E('button', { 'class': 'btn', 'click': ui.hideModal }, [ _('Cancel') ])
			].concat(another ? choice(another) : [], choice([ text, act ])))
		]);
	},

	// Works without HTTPS too, where browsers have no clipboard for pages.
	copy: function(text, button) {
		const field = E('textarea', { 'style': 'position:fixed;top:0;opacity:0' }, [ text ]);
		document.body.appendChild(field);
		field.select();
		const done = document.execCommand('copy');
		document.body.removeChild(field);
		const said = button.textContent;
		button.textContent = done ? _('Copied') : _('Copy it by hand');
		window.setTimeout(function() { button.textContent = said; }, 2000);
	},

	// 'rows' are arrays of cells, a cell an array of nodes and texts.
	table: function(id, titles, rows, empty) {
		const head = E('tr', { 'class': 'tr table-titles' }, titles.map(function(title) {
			return E('th', { 'class': 'th' }, [ title ]);
		}));
		const body = rows.map(function(row) {
			return E('tr', { 'class': 'tr' }, row.map(function(cell, at) {
				return E('td', { 'class': 'td', 'data-title': titles[at] }, cell);
			}));
		});
		if (!rows.length)
			body.push(E('tr', { 'class': 'tr placeholder' },
				[ E('td', { 'class': 'td', 'colspan': titles.length }, [ E('em', {}, [ empty ]) ]) ]));
		return E('table', { 'class': 'table', 'id': id }, [ head ].concat(body));
	},

	section: function(title, nodes) {
		return E('div', { 'class': 'cbi-section' }, [ E('h3', {}, [ title ]) ].concat(nodes));
	},

	duration: function(secs) {
		const clock = two(Math.floor(secs / 3600) % 24) + ':' + two(Math.floor(secs / 60) % 60) +
			':' + two(Math.floor(secs) % 60);
		return secs < 86400 ? clock : _('%d d').format(Math.floor(secs / 86400)) + ' ' + clock;
	},

	bytes: function(count) {
		return '%.1mB'.format(count);
	},

	date: function(millis) {
		return new Date(millis).toLocaleString();
	},

	stopped: function() {
		return E('div', { 'class': 'alert-message warning' }, [
			_('hbb is not running. Its log says why; it starts once Settings are right and enabled.')
		]);
	}
});
