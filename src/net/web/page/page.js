// The page for operators: what `hbb ctl --json` says, in tables, and its commands as buttons.
'use strict';

const main = document.getElementById('main');
let drawn = 0;

// Children are text or elements, never markup: names come from strangers.
function node(name, attributes, ...children) {
	const made = document.createElement(name);
	for (const [key, value] of Object.entries(attributes || {})) {
		if (typeof value == 'function') made.addEventListener(key, value);
		else if (value !== null && value !== false) made.setAttribute(key, value);
	}
	made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ''));
	return made;
}

function say(text, bad) {
	const said = document.getElementById('said');
	said.textContent = text;
	said.className = bad ? 'bad' : '';
}

// The answer of one command, as `hbb ctl --json` gives it.
async function ctl(...words) {
	const answer = await fetch('ctl', {
		method: 'POST', headers: { 'Content-Type': 'application/json', 'X-Hbb': '1' },
		body: JSON.stringify(words)
	});
	if (answer.status == 401) location.reload();
	const told = await answer.json();
	if (told.error) throw new Error(told.error);
	return told;
}

// Runs what changes something, says how it went, and draws the page anew.
async function act(text, ...words) {
	try {
		const told = await ctl(...words);
		say(typeof told.done == 'string' ? told.done : text);
		await draw();
	} catch (cause) {
		say(cause.message, true);
	}
}

function ask(question, yes, then) {
	const dialog = node('dialog', { 'aria-labelledby': 'question' },
		node('p', { id: 'question' }, question),
		node('form', { method: 'dialog', class: 'row' },
			node('button', { class: 'bad', value: 'yes' }, yes), node('button', {}, 'Cancel')));
	dialog.addEventListener('close', () => { if (dialog.returnValue == 'yes') then(); dialog.remove(); });
	document.body.append(dialog);
	dialog.showModal();
}

const button = (text, then, bad) => node('button', { type: 'button', class: bad ? 'bad' : null, click: then }, text);

function table(caption, heads, rows, none) {
	if (!rows.length) return node('p', { class: 'faint' }, none);
	return node('div', { class: 'wide' }, node('table', {}, node('caption', {}, caption),
		node('thead', {}, node('tr', {}, heads.map((head) => node('th', { scope: 'col' }, head)))),
		node('tbody', {}, rows.map((cells) => node('tr', {}, cells.map((cell, at) =>
			node('td', { 'data-head': heads[at] }, Array.isArray(cell) ? cell : [ cell === null || cell === undefined ? '' : cell ])))))));
}

function facts(rows) {
	return node('table', {}, node('tbody', {}, rows.map(([ name, ...value ]) =>
		node('tr', {}, node('th', { scope: 'row' }, name), node('td', {}, value)))));
}

function copied(text) {
	return [ node('code', {}, text), ' ', button('Copy', () => navigator.clipboard
		? navigator.clipboard.writeText(text).then(() => say('Copied.'), () => say('The browser does not let this page copy.', true))
		: say('Copying needs HTTPS or this machine; mark the text instead.', true)) ];
}

function time(seconds) {
	if (seconds === null || seconds === undefined) return '';
	for (const [ unit, many ] of [ [ 'd', 86400 ], [ 'h', 3600 ], [ 'min', 60 ] ])
		if (seconds >= many) return Math.floor(seconds / many) + ' ' + unit;
	return seconds + ' s';
}

function bytes(many) {
	for (const unit of [ 'B', 'kB', 'MB', 'GB', 'TB' ]) {
		if (many < 1000 || unit == 'TB') return (many < 10 && unit != 'B' ? many.toFixed(1) : Math.round(many)) + ' ' + unit;
		many /= 1000;
	}
}

const date = (unix) => unix ? new Date(unix * 1000).toLocaleString() : '';

function row(fields, text, then) {
	const form = node('form', { class: 'row', submit: (event) => {
		event.preventDefault();
		then(Object.fromEntries(new FormData(form)));
	} }, fields, node('button', { class: 'main' }, text));
	return form;
}

const field = (label, name, more) => node('label', {}, label, node('input', { name: name, ...more }));

const PAGES = {
	async Status() {
		const status = await ctl('status');
		const host = status.public || location.hostname;
		const given = btoa(JSON.stringify({ host: host, relay: '', api: '', key: status.key || '' }))
			.replace(/=+$/, '').replace(/\+/g, '-').replace(/\//g, '_');
		const left = status.store || {};
		return [
			node('h2', {}, 'For clients'),
			facts([
				[ 'ID server', ...copied(host) ],
				[ 'Key', ...(status.key ? copied(status.key) : [ 'none: anyone may use this server' ]) ],
				[ 'Import server config', ...copied([ ...given ].reverse().join('')) ]
			]),
			node('h2', {}, 'This server'),
			facts([
				[ 'Running', time(status.uptime_secs) + ', version ' + status.version ],
				[ 'Devices', status.peers.online + ' online, ' + status.peers.registered + ' registered, room for ' + status.peers.limit ],
				[ 'Sessions', status.sessions.running + ' relayed now, of ' + status.sessions.limit + '; ' + bytes(status.relayed_bytes) + ' since the start' ],
				[ 'Connections', status.connections.open + ' of ' + status.connections.limit ],
				[ 'Written today', bytes(left.written_today || 0) + (left.day_limit ? ' of ' + bytes(left.day_limit) : '') ]
			]),
			status.doubts.length ? [ node('h2', {}, 'To look at'), node('ul', {}, status.doubts.map((text) => node('li', {}, text))) ] : [],
			node('h2', {}, 'Refused since the start'),
			table('By reason; the manual says what each means', [ 'Reason', 'Times' ], Object.entries(status.dropped), 'Nothing.')
		].flat();
	},
	async Devices() {
		const [ told, bans ] = await Promise.all([ everybody(), ctl('bans') ]);
		return [ table(told.length + ' devices', [ 'Id', 'Name', 'System', 'User', 'Online', 'Address', 'First seen', '' ], told.map((peer) => [
			peer.id, peer.name, peer.system || peer.os, peer.user,
			peer.online ? node('span', { class: 'good' }, time(peer.online_secs)) : peer.seen_secs === null ? 'not since the start' : time(peer.seen_secs) + ' ago',
			peer.address, date(peer.first_seen),
			[ bans.bans.includes(peer.id)
				? button('Unban', () => act('Let in again.', 'unban', 'id=' + peer.id))
				: button('Ban', () => ask('Shut out ' + peer.id + ' at once and for good?', 'Ban', () => act('Shut out.', 'ban', 'id=' + peer.id)), true),
			' ', button('Forget', () => ask('Delete ' + peer.id + '? One that still runs comes back by itself.', 'Forget', () => act('Deleted.', 'forget', 'id=' + peer.id)), true) ]
		]), 'No device has registered yet.') ];
	},
	async Waiting() {
		const told = await ctl('pending');
		return [
			node('p', {}, 'With --private a new device waits here until somebody lets it in.'),
			table('Waiting', [ 'Id', 'From', 'Since', '' ], told.pending.map((one) => [ one.id, one.address, time(one.waiting_secs),
				[ button('Approve', () => act('Approved.', 'approve', one.id)) ] ]), 'Nobody waits.')
		];
	},
	async Sessions() {
		const told = await ctl('sessions');
		return [ table('Relayed now', [ 'From', 'To', 'For', 'Moved', 'A second', '' ], told.sessions.map((one) => [
			one.from, one.to, time(one.secs), bytes(one.bytes), bytes(one.rate || 0) + (one.limited ? ', slowed' : ''),
			[ button('End', () => ask('End this session?', 'End', () => act('Ended.', 'disconnect', String(one.number))), true) ]
		]), 'No session is relayed; direct ones do not pass here.') ];
	},
	async Log() {
		const told = await ctl('log');
		const rows = told.log;
		return [ table('Newest first', [ 'When', 'From', 'To', 'Outcome', 'For', 'Moved' ], rows.slice().reverse().map((one) => [
			date(one.at), one.from, one.to, one.outcome + (one.reason ? ': ' + one.reason : ''), time(one.secs), one.bytes ? bytes(one.bytes) : '' ]), 'Nobody has asked for anybody yet.') ];
	},
	async Users() {
		const told = await ctl('user', 'list');
		return [
			table('Whom clients log in as; administrators may sign in here', [ 'Name', 'Shown as', 'Group', 'Role', 'State', '' ], told.users.map((user) => [
				user.name, user.display, user.group, user.admin ? 'administrator' : 'user', user.disabled ? 'disabled' : 'enabled',
				[ user.disabled
					? button('Enable', () => act('Enabled.', 'user', 'enable', user.name))
					: button('Disable', () => act('Disabled.', 'user', 'disable', user.name)),
				' ', button('Remove', () => ask('Remove ' + user.name + ' with all address books?', 'Remove', () => act('Removed.', 'user', 'remove', user.name)), true) ]
			]), 'There are no users.'),
			row([ field('Name', 'name', { required: '', autocomplete: 'off' }),
				field('Password', 'password', { type: 'password', required: '', minlength: 8, autocomplete: 'new-password' }) ],
			'Add user', (given) => act('Added.', 'user', 'add', given.name, { secret: given.password }))
		];
	},
	async Books() {
		const told = await ctl('book', 'list');
		return [ table('Address books', [ 'Book', 'Owner', 'Entries', 'Shared with' ], told.books.map((book) => [
			book.name, book.owner, book.peers || book.entries, (book.rules || book.shared || []).map((rule) =>
				(rule.user || rule.group || rule.who) + ': ' + rule.rule).join(', ')
		]), 'There are no address books.') ];
	},
	async Bans() {
		const told = await ctl('bans');
		return [
			table('Shut out', [ 'What', '' ], told.bans.map((what) => [ what, [ button('Unban', () => act('Let in again.', 'unban', what)) ] ]), 'Nobody is shut out.'),
			row([ field('Id, address or network', 'what', { required: '', autocomplete: 'off' }) ], 'Ban', (given) => act('Shut out.', 'ban', given.what))
		];
	}
};

async function everybody() {
	const all = [];
	for (let after = null; ;) {
		const told = await (after ? ctl('peers', 'count=200', 'after=' + after) : ctl('peers', 'count=200'));
		all.push(...told.peers);
		if (!(after = told.next) || all.length >= 20000) return all;
	}
}

async function draw() {
	const name = PAGES[location.hash.slice(1)] ? location.hash.slice(1) : 'Status';
	const turn = ++drawn;
	document.getElementById('pages').replaceChildren(...Object.keys(PAGES).map((page) =>
		node('a', { href: '#' + page, 'aria-current': page == name ? 'page' : null }, page)));
	let shown;
	try {
		shown = await PAGES[name]();
	} catch (cause) {
		shown = [ node('p', { class: 'faint' }, cause.message) ];
	}
	if (turn == drawn) main.replaceChildren(node('h2', { class: 'top' }, name), ...shown);
}

addEventListener('hashchange', () => { say(''); draw().then(() => main.focus()); });
draw();
