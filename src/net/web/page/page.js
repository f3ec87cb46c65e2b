// The page for operators: what `hbb ctl --json` says, in tables, and its commands as buttons.
'use strict';

const main = document.getElementById('main');
// Rows that are shown at first, and by each wish for more.
const ROWS = 200;
// What changes by itself, and is drawn anew every ten seconds while nobody is at work in it.
const LIVE = [ 'Status', 'Devices', 'Waiting', 'Sessions' ];
let drawn = 0;
// What was searched for, and how many rows are wanted, until another page is opened.
let wanted = { rows: ROWS };

// Children are text or elements, never markup: names come from strangers.
function node(name, attributes, ...children) {
	const made = document.createElement(name);
	for (const [key, value] of Object.entries(attributes || {})) {
		if (typeof value == 'function') made.addEventListener(key, value);
		else if (value !== null && value !== undefined && value !== false) made.setAttribute(key, value);
	}
	made.append(...children.flat(9).filter((child) => child || child === 0));
	return made;
}

function say(text, bad) {
	const said = document.getElementById('said');
	said.textContent = text;
	said.className = bad ? 'bad' : '';
}

async function post(path, body) {
	const answer = await fetch(path, {
		method: 'POST', headers: { 'Content-Type': 'application/json', 'X-Hbb': '1' }, body: body
	});
	if (answer.status == 401) location.reload();
	return answer;
}

// The answer of one command, as `hbb ctl --json` gives it.
async function ctl(...words) {
	const answer = await post('ctl', JSON.stringify(words));
	const told = answer.ok ? await answer.json() : { error: await answer.text() || answer.status };
	if (told.error) throw new Error(told.error);
	return told;
}

// All that a command lists, part by part; `next` names the last of a part, if more may follow.
async function all(list, next, most, words, after) {
	const rows = [];
	while (rows.length < most) {
		const told = await ctl(...words, ...after === undefined ? [] : [ 'after=' + after ]);
		rows.push(...told[list]);
		after = next(told, told[list]);
		if (after === undefined || after === null) break;
	}
	return rows;
}

// Runs what changes something, says how it went, and draws the page anew; whether it was done.
async function act(...words) {
	try {
		const told = await ctl(...words);
		await draw();
		say(told.done || 'Done.');
		return true;
	} catch (cause) {
		say(cause.message, true);
		return false;
	}
}

// A window with fields, whose values go to `then`, unless it is closed without.
function dialog(title, parts, yes, then, bad) {
	const form = node('form', { method: 'dialog' }, parts, node('p', { class: 'row' },
		yes && node('button', { class: bad ? 'bad' : 'main', value: 'yes' }, yes),
		node('button', { formnovalidate: '', value: '' }, yes ? 'Cancel' : 'Close')));
	const shown = node('dialog', { 'aria-labelledby': 'question' }, node('h2', { id: 'question' }, title), form);
	shown.addEventListener('close', () => {
		shown.remove();
		if (shown.returnValue == 'yes') then(Object.fromEntries(new FormData(form)));
	});
	document.body.append(shown);
	shown.showModal();
}

const ask = (question, yes, ...words) => () => dialog(question, [], yes, () => act(...words), true);
const button = (text, then, bad) => node('button', { type: 'button', class: bad && 'bad', click: then }, text);
const doing = (text, ...words) => button(text, () => act(...words));
const spaced = (...buttons) => buttons.filter((one) => one).flatMap((one) => [ one, ' ' ]);
const head = (text) => node('h3', {}, text);
const faint = (text) => node('p', { class: 'faint' }, text);

function table(caption, heads, rows, none) {
	if (!rows.length) return faint(none);
	const cell = (value, at) => node('td', { 'data-head': heads[at] }, value);
	return node('div', { class: 'wide', tabindex: 0, role: 'region', 'aria-label': caption }, node('table', {},
		node('caption', {}, caption),
		node('thead', {}, node('tr', {}, heads.map((head) => node('th', { scope: 'col' }, head || 'Actions')))),
		node('tbody', {}, rows.map((cells) => node('tr', {}, cells.map(cell))))));
}

function facts(rows) {
	return node('table', {}, node('tbody', {}, rows.filter((row) => row).map(([ name, ...value ]) =>
		node('tr', {}, node('th', { scope: 'row' }, name), node('td', {}, value)))));
}

// The first of many rows, and a button for more.
const first = (rows) => rows.slice(0, wanted.rows);
const more = (rows) => rows.length > wanted.rows
	? node('p', {}, button('Show more', () => { wanted.rows += ROWS; draw(); })) : '';

function copied(text) {
	return [ node('code', {}, text), ' ', button('Copy', async () => {
		try {
			await navigator.clipboard.writeText(text);
			say('Copied.');
		} catch (cause) {
			say('Copying needs HTTPS or this machine; mark the text instead.', true);
		}
	}) ];
}

// A text as QR code. The server draws it in half blocks, light ones filled.
async function code(text, label) {
	const lines = (await (await post('qr', text)).text()).split('\n').filter((line) => line);
	const size = lines.length ? lines[0].length : 0;
	let path = '';
	lines.forEach((line, at) => [ ...line ].forEach((block, x) => {
		if (!'█▀'.includes(block)) path += 'M' + x + ' ' + 2 * at + 'h1v1h-1z';
		if (!'█▄'.includes(block) && 2 * at + 1 < size) path += 'M' + x + ' ' + (2 * at + 1) + 'h1v1h-1z';
	}));
	const svg = (name, attributes, ...children) => {
		const made = document.createElementNS('http://www.w3.org/2000/svg', name);
		Object.entries(attributes).forEach(([ key, value ]) => made.setAttribute(key, value));
		made.append(...children);
		return made;
	};
	return svg('svg', { class: 'qr', role: 'img', 'aria-label': label, viewBox: '0 0 ' + size + ' ' + size,
		'shape-rendering': 'crispEdges' }, svg('path', { d: path }));
}

function save(name, kind, text) {
	const link = node('a', { href: URL.createObjectURL(new Blob([ text ], { type: kind })), download: name });
	document.body.append(link);
	link.click();
	link.remove();
	setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

// RFC 4180; what a spreadsheet would take for a formula is told to be text.
function csv(columns, rows) {
	const cell = (value) => {
		const text = value === null || value === undefined ? '' : Array.isArray(value) ? value.join(';') : String(value);
		const safe = (/^[=+\-@\t\r']/.test(text) ? "'" : '') + text;
		return /[,;"\r\n\t']/.test(safe) ? '"' + safe.replaceAll('"', '""') + '"' : safe;
	};
	return [ columns, ...rows.map((row) => columns.map((column) => row[column])) ]
		.map((cells) => cells.map(cell).join(',') + '\r\n').join('');
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

// Fields beside each other; what stands in them goes to `then`.
function row(fields, text, then) {
	const form = node('form', { class: 'row', submit: (event) => {
		event.preventDefault();
		then(Object.fromEntries(new FormData(form)), form);
	} }, fields, node('button', { class: 'main' }, text));
	return form;
}

// What commands take as one word.
const WORD = { pattern: '\\S+', title: 'without blanks' };
const input = (label, name, more) => node('label', {}, label, node('input', { name: name, autocomplete: 'off', ...more }));
const secret = () => input('Password, 8 characters or more', 'password',
	{ type: 'password', required: '', minlength: 8, autocomplete: 'new-password' });
const check = (label, name, on) => node('label', { class: 'check' },
	node('input', { type: 'checkbox', name: name, checked: on && '' }), ' ', label);
const choice = (label, name, words) => node('label', {}, label,
	node('select', { name: name }, words.map((word) => node('option', {}, word))));

function search(fields) {
	return row(fields.map(([ label, name ]) => input(label, name, { type: 'search', value: wanted[name] })), 'Search',
		(given) => { wanted = { rows: ROWS, ...given }; draw(); });
}

// What pages are searched for, above what there is, or why the server looks for nothing of the kind.
const SEARCHES = {
	Devices: [ [ 'Part of the id', 'part' ] ],
	Log: [ [ 'Id of the device asked for', 'id' ], [ 'Address or network of who asked', 'from' ], [ 'Since, such as 30m, 12h, 7d', 'since' ] ]
};

const PAGES = {
	async Status() {
		const status = await ctl('status');
		const name = status.public || location.hostname.replace(/[[\]]/g, '');
		const host = status.port == 21116 ? name : (name.includes(':') ? '[' + name + ']' : name) + ':' + status.port;
		const config = JSON.stringify({ host: host, key: status.key || undefined })
			.replace(/[\u0080-\uffff]/g, (letter) => '\\u' + letter.charCodeAt(0).toString(16).padStart(4, '0'));
		const given = btoa(config).replace(/=+$/, '').replace(/\+/g, '-').replace(/\//g, '_');
		const { peers, sessions, connections, store } = status;
		return [
			head('For clients'),
			facts([
				[ 'ID server', copied(host) ],
				[ 'Key', status.key ? copied(status.key) : 'none to enter, or the word of --key' ],
				[ 'Import server config', copied([ ...given ].reverse().join('')) ],
				[ 'To scan with a telephone', await code('config=' + config, 'QR code of the server and its key') ]
			]),
			head('This server'),
			facts([
				[ 'Running', time(status.uptime_secs) + ', version ' + status.version ],
				peers && [ 'Devices', peers.online + ' online, ' + peers.registered + ' registered, room for ' + peers.limit ],
				sessions && [ 'Sessions', sessions.running + ' relayed now, of ' + sessions.limit + '; ' + bytes(status.relayed_bytes) + ' since the start' ],
				connections && [ 'Connections', connections.open + ' of ' + connections.limit ],
				store && [ 'Written today', bytes(store.written_today || 0) + (store.day_limit ? ' of ' + bytes(store.day_limit) : '') ],
				[ 'Ports', 'TCP ' + status.tcp_ports.join(' ') + ', UDP ' + status.udp_ports.join(' ') ]
			]),
			status.doubts.length ? [ head('To look at'), node('ul', {}, status.doubts.map((text) => node('li', {}, text))) ] : [],
			head('Refused since the start'),
			table('By reason; the manual says what each means', [ 'Reason', 'Times' ], Object.entries(status.dropped), 'Nothing.')
		].flat();
	},
	async Devices() {
		const part = wanted.part ? [ 'part=' + wanted.part ] : [];
		const [ told, bans ] = await Promise.all([
			all('peers', (told) => told.next, wanted.rows + 1, [ 'peers', 'count=' + ROWS, ...part ]), ctl('bans') ]);
		return [
			table('Devices', [ 'Id', 'Name', 'System', 'User', 'Online', 'Address', 'First seen', '' ], first(told).map((peer) => [
				peer.id, peer.name, peer.system, peer.user,
				peer.online ? node('span', { class: 'good' }, time(peer.online_secs)) : peer.seen_secs === null ? 'not since the start' : time(peer.seen_secs) + ' ago',
				peer.address, date(peer.first_seen),
				spaced(bans.bans.includes(peer.id) ? doing('Unban', 'unban', 'id=' + peer.id)
					: button('Ban', ask('Shut out ' + peer.id + ' at once and for good?', 'Ban', 'ban', 'id=' + peer.id), true),
				peer.online && button('Disconnect', ask('End all sessions of ' + peer.id + '?', 'Disconnect', 'disconnect', 'id=' + peer.id), true),
				button('Forget', ask('Delete ' + peer.id + '? One that still runs comes back by itself.', 'Forget', 'forget', 'id=' + peer.id), true))
			]), wanted.part ? 'There is none.' : 'No device has registered yet.'),
			more(told)
		];
	},
	async Waiting() {
		const told = await ctl('pending');
		return [
			faint('With --private a new device waits here until somebody lets it in.'),
			table('Waiting', [ 'Id', 'From', 'Since', '' ], told.pending.map((one) => [ one.id, one.address, time(one.waiting_secs),
				doing('Approve', 'approve', 'id=' + one.id, one.address) ]), 'Nobody waits.'),
			head('Invite'),
			row([ input('Hours it is good', 'hours', { type: 'number', min: 1, value: 24, required: '' }) ], 'Make a code', async (given) => {
				try {
					const made = await ctl('invite', given.hours);
					dialog('A code for one device', [ faint('Good for ' + made.hours + ' hours. On the device, as administrator:'),
						node('p', {}, copied('rustdesk --deploy --token ' + made.code)) ]);
				} catch (cause) {
					say(cause.message, true);
				}
			})
		];
	},
	async Sessions() {
		const told = await ctl('sessions');
		return [ table('Relayed now', [ 'From', 'To', 'For', 'Moved', 'A second', '' ], told.sessions.map((one) => [
			one.from, one.to, time(one.secs), bytes(one.bytes), bytes(one.rate || 0) + (one.limited ? ', slowed' : ''),
			button('End', ask('End this session?', 'End', 'disconnect', String(one.number)), true)
		]), 'No session is relayed; direct ones do not pass here.') ];
	},
	async Log() {
		const filter = [ 'id', 'from', 'since' ].filter((name) => wanted[name]).map((name) => name + '=' + wanted[name]);
		const rows = await all('log', (_, part) => part.length == 400 ? part.at(-1).number : null, 10000, [ 'log', 'count=400', ...filter ]);
		rows.reverse();
		return [
			table('Newest first', [ 'When', 'From', 'User', 'To', 'Outcome', 'For', 'Moved', 'By' ], first(rows).map((one) => [
				date(one.at), one.from, one.user, one.to, one.outcome + (one.reason ? ': ' + one.reason : '') + (one.asks > 1 ? ', ' + one.asks + ' times' : ''),
				time(one.secs), one.bytes ? bytes(one.bytes) : '', [ one.by_name, one.by ].filter((word) => word).join(' ')
			]), filter.length ? 'There is none.' : 'Nobody has asked for anybody yet.'),
			more(rows),
			rows.length ? node('p', {}, spaced(
				button('Save as CSV', () => save('hbb-log.csv', 'text/csv', csv(Object.keys(rows[0]), rows))),
				button('Save as lines of JSON', () => save('hbb-log.jsonl', 'application/json', rows.map((one) => JSON.stringify(one) + '\n').join(''))))) : ''
		];
	},
	async Users() {
		const [ told, grouped ] = await Promise.all([ ctl('user', 'list'), ctl('group', 'list') ]);
		const edit = (user) => () => dialog('User ' + user.name, [
			input('Shown as', 'display', { value: user.display, maxlength: 256 }), input('E-mail', 'email', { value: user.email, maxlength: 256 }),
			input('Note', 'note', { value: user.note, maxlength: 256 }), input('Group', 'group', { ...WORD, value: user.group, maxlength: 64 }),
			check('Administrator', 'admin', user.admin)
		], 'Save', async (given) => {
			const now = { ...given, admin: given.admin ? 'yes' : 'no' }, was = { ...user, admin: user.admin ? 'yes' : 'no' };
			for (const name of Object.keys(now))
				if (now[name] != was[name] && !await act('user', 'set', user.name, name + '=' + now[name])) return;
		});
		return [
			table('Whom clients log in as; administrators may sign in here', [ 'Name', 'Shown as', 'Group', 'Role', 'Logins', 'State', '' ], told.users.map((user) => [
				user.name, user.display, user.group, user.admin ? 'administrator' : 'user', user.tokens,
				(user.disabled ? 'disabled' : 'enabled') + (user.totp ? ', with codes' : ''),
				spaced(button('Edit', edit(user)),
					button('Password', () => dialog('Another password for ' + user.name, [ secret(), faint('The user is logged out everywhere.') ], 'Set',
						(given) => act('user', 'passwd', user.name, { secret: given.password }))),
					user.totp ? button('Codes off', ask('Let ' + user.name + ' log in by the password alone?', 'Codes off', 'user', 'totp', user.name, 'off'), true)
						: button('Codes on', () => codes(user.name)),
					user.disabled ? doing('Enable', 'user', 'enable', user.name)
						: button('Disable', ask('Log ' + user.name + ' out everywhere, and let nobody log in so?', 'Disable', 'user', 'disable', user.name), true),
					button('Remove', ask('Remove ' + user.name + ' with the personal address book?', 'Remove', 'user', 'remove', user.name), true))
			]), 'There are no users.'),
			head('Add'),
			row([ input('Name', 'name', { ...WORD, required: '', maxlength: 64 }), secret() ],
				'Add user', (given) => act('user', 'add', given.name, { secret: given.password })),
			head('Groups'),
			table('Users see the devices of their group; rules and books name both by @GROUP', [ 'Group', 'User', 'Device', '' ],
				grouped.groups.map((one) => [ one.group, one.user, one.device,
					one.device && doing('Take out', 'group', 'remove', 'id=' + one.device) ]), 'Nobody is in a group.'),
			row([ input('Group', 'group', { ...WORD, required: '', maxlength: 64 }), input('Id of a device', 'device', { ...WORD, required: '' }) ],
				'Put into group', (given) => act('group', 'add', given.group, 'id=' + given.device))
		];
	},
	async Books() {
		const told = (await ctl('book', 'list')).books, guid = location.hash.split('/')[1];
		const book = told.find((book) => book.guid == guid);
		if (book) return shelf(book);
		const users = (await ctl('user', 'list')).users.map((user) => user.name);
		return [
			table('Address books', [ 'Book', 'Owner', 'Entries', 'Shared with', 'Note' ], told.map((book) => [
				node('a', { href: '#Books/' + book.guid }, book.name || 'personal'), book.owner || 'nobody',
				book.entries, book.shares.replaceAll('=', ': ').replaceAll(' @', ', @'), book.note
			]), 'There are no address books.'),
			head('Add'),
			row([ choice('Owner', 'owner', users), input('Name', 'name', { required: '', maxlength: 128 }) ],
				'Add book', (given) => act('book', 'add', given.owner + '/' + given.name))
		];
	},
	async Rules() {
		const told = await ctl('rule', 'list');
		return [
			faint(told.done + ' Permissions do not bind Android targets: those ignore them.'),
			node('ol', { class: 'rules' }, told.rules.map((line) => node('li', {}, node('code', {}, line)))),
			node('p', {}, doing('Put the file in force', 'reload')),
			head('Test'),
			row([ input('From: id, address or ID@ADDRESS', 'from', { ...WORD, required: '' }), input('To: id', 'to', { ...WORD, required: '' }),
				input('User who is logged in there', 'user', WORD), input('At, such as Mon 14:00', 'at') ], 'Test', async (given, form) => {
				const more = [ given.user && 'user=' + given.user, given.at && 'at=' + given.at.replace(' ', ',') ].filter((word) => word);
				let said;
				try {
					said = (await ctl('rule', 'test', given.from, given.to, ...more)).done;
				} catch (cause) {
					said = cause.message;
				}
				form.nextSibling.textContent = said;
			}),
			node('pre', { role: 'status' })
		];
	},
	async Bans() {
		const told = await ctl('bans');
		return [
			table('Shut out', [ 'What', '' ], first(told.bans).map((what) => [ what, doing('Unban', 'unban', what) ]), 'Nobody is shut out.'),
			more(told.bans),
			row([ input('Id, address or network', 'what', { ...WORD, required: '' }) ], 'Ban', (given) => act('ban', given.what))
		];
	},
	async Limits() {
		const told = await ctl('limits');
		return [
			faint('As the flags of hbb serve. A change holds until the next reload or start; the flags file keeps one.'),
			facts(Object.entries(told.limits).map(([ name, value ]) => [ name, row(
				[ node('input', { name: 'value', value: value, 'aria-label': name, inputmode: 'decimal', required: '' }) ],
				'Set', (given) => act('limits', name, given.value)) ])),
			node('p', {}, button('Read the flags file again', ask('Read the flags file and the lists again?', 'Reload', 'reload')))
		];
	}
};

// Asks a user for codes from now on, and shows what a telephone scans.
async function codes(name) {
	dialog('Ask ' + name + ' for codes, too?', [ faint('Scan what comes next at once: without it nobody logs in as ' + name + '.') ], 'Codes on', async () => {
		try {
			const address = (await ctl('user', 'totp', name, 'on')).totp;
			await draw();
			dialog('Codes for ' + name, [ faint('Scan this with the telephone, or enter the secret there. It is not shown again.'),
				await code(address, 'QR code of the secret'), node('p', {}, copied(new URL(address).searchParams.get('secret'))) ]);
		} catch (cause) {
			say(cause.message, true);
		}
	});
}

// What an entry of a book is shown and changed by; the rest of it stays as it is.
const FIELDS = { alias: 'Alias', tags: 'Tags, with ; between them', note: 'Note', username: 'User', hostname: 'Host', platform: 'System' };
const COLUMNS = [ 'id', 'alias', 'tags', 'note', 'username', 'hostname', 'platform', 'hash', 'password', 'forceAlwaysRelay', 'rdpPort',
	'rdpUsername', 'loginName', 'device_group_name' ];

// One address book.
async function shelf(book) {
	const entries = await all('entries', (_, part) => part.length == 100 ? part.at(-1).id : null, 20000,
		[ 'book', 'export', book.guid ], '');
	const name = (book.owner || 'nobody') + '/' + (book.name || 'personal');
	const put = (entry) => act('book', 'import', book.guid, { secret: JSON.stringify([ entry ]) });
	const words = (text) => text.split(';').map((tag) => tag.trim()).filter((tag) => tag);
	const edit = (entry) => () => dialog('Device ' + entry.id, Object.keys(FIELDS).map((name) => input(FIELDS[name], name,
		{ value: name == 'tags' ? (entry.tags || []).join('; ') : entry[name] || '' })), 'Save',
	(given) => put({ ...given, id: entry.id, tags: words(given.tags) }));
	const part = (wanted.part || '').toLowerCase();
	const found = entries.filter((entry) => !part || JSON.stringify(entry).toLowerCase().includes(part));
	const shares = book.shares ? book.shares.split(' ').map((share) => share.split('=')) : [];
	const file = node('input', { type: 'file', name: 'file', accept: '.csv,.json', required: '' });
	return [
		node('p', {}, node('a', { href: '#Books' }, 'All books')),
		head(name),
		search([ [ 'Part of anything', 'part' ] ]),
		table('Entries', [ 'Id', 'Alias', 'Tags', 'Note', 'User', 'Host', 'System', '' ], first(found).map((entry) => [
			entry.id, entry.alias, (entry.tags || []).join(', '), entry.note, entry.username, entry.hostname, entry.platform,
			spaced(button('Edit', edit(entry)), button('Remove', ask('Remove ' + entry.id + ' from ' + name + '?', 'Remove', 'book', 'remove', book.guid, entry.id), true))
		]), part ? 'There is none.' : 'The book is empty.'),
		more(found),
		head('Add'),
		row([ input('Id', 'id', { required: '', maxlength: 128 }), input('Alias', 'alias'), input(FIELDS.tags, 'tags') ], 'Add device',
			(given) => put({ ...given, tags: words(given.tags) })),
		head('Shared with'),
		table('Users, and groups behind @', [ 'Who', 'May', '' ], shares.map(([ who, rule ]) => [ who, rule,
			doing('Unshare', 'book', 'unshare', book.guid, who) ]), book.name ? 'Nobody but the owner and administrators.' : 'A personal book is shared with nobody.'),
		book.name && row([ input('User or @GROUP', 'who', { ...WORD, required: '' }), choice('May', 'rule', [ 'read', 'write', 'full' ]) ], 'Share',
			(given) => act('book', 'share', book.guid, given.who, given.rule)),
		head('The book'),
		book.name && row([ input('Name', 'name', { required: '', value: book.name, maxlength: 128 }) ], 'Rename', (given) => act('book', 'rename', book.guid, given.name)),
		row([ input('Note', 'note', { value: book.note, maxlength: 400 }) ], 'Save note', (given) => act('book', 'note', book.guid, given.note)),
		row([ node('label', {}, 'CSV or JSON', file), check('in the place of all it has', 'replace') ], 'Import',
			async (given) => take(book.guid, await file.files[0].text(), given.replace)),
		faint('What is saved may hold passwords of devices.'),
		node('p', {}, spaced(
			button('Save as CSV', () => save('book.csv', 'text/csv', csv(COLUMNS, entries))),
			button('Save as JSON', () => save('book.json', 'application/json', JSON.stringify({ entries: entries }))),
			button('Remove book', ask('Remove ' + name + ' with all that is in it?', 'Remove', 'book', 'remove', book.guid), true)))
	];
}

// Has a file read into a book, in parts that the server takes at once.
async function take(guid, text, replace) {
	const clean = text.replace(/^\ufeff/, '').trim();
	const list = /^[[{]/.test(clean);
	let parts = [], begin = '', count = 0;
	try {
		if (list) {
			const read = JSON.parse(clean), entries = Array.isArray(read) ? read : read.entries;
			if (!Array.isArray(entries)) throw new Error('There are no entries in it.');
			parts = entries.map((entry) => JSON.stringify(entry));
		} else {
			// Lines, of which those in quotes go on.
			[ begin, ...parts ] = clean.match(/(?:"[^"]*"|[^"\n])*\n|(?:"[^"]*"|[^"\n])+/g) || [ '' ];
		}
		do {
			let many = 1;
			while (many < parts.length && JSON.stringify(parts.slice(0, many + 1)).length < 12000) many++;
			const some = parts.splice(0, many);
			await ctl('book', 'import', ...replace && !count ? [ '--replace' ] : [], guid,
				{ secret: list ? '[' + some.join(',') + ']' : begin + some.join('') });
			count += some.length;
		} while (parts.length);
		await draw();
		say('Entries that were read: ' + count + '.');
	} catch (cause) {
		await draw();
		// Of the part that was sent last.
		say(cause.message.replace(/^Entry (\d+)/, (_, at) => 'Entry ' + (count + Number(at))), true);
	}
}

const page = () => PAGES[location.hash.slice(1).split('/')[0]] ? location.hash.slice(1).split('/')[0] : 'Status';

const LINKS = Object.keys(PAGES).map((page) => node('a', { href: '#' + page }, page));

async function draw() {
	const name = page(), turn = ++drawn;
	let shown;
	for (const link of LINKS)
		link.hash == '#' + name ? link.setAttribute('aria-current', 'page') : link.removeAttribute('aria-current');
	try {
		shown = await PAGES[name]();
	} catch (cause) {
		shown = [ faint(cause.message) ];
	}
	if (turn != drawn) return;
	document.title = name + ' - RustDesk server';
	main.replaceChildren(...[ node('h2', {}, name), SEARCHES[name] && search(SEARCHES[name]), ...shown ].filter((part) => part));
	// Whoever works by keys goes on where the page is.
	if (turn > 1 && document.activeElement == document.body) main.focus();
}

document.getElementById('pages').append(...LINKS);
addEventListener('hashchange', () => {
	say('');
	wanted = { rows: ROWS };
	draw().then(() => main.focus());
});
setInterval(() => {
	const at = document.activeElement, busy = document.hidden || document.querySelector('dialog') || !getSelection().isCollapsed;
	if (LIVE.includes(page()) && !busy && (at == main || !main.contains(at))) draw();
}, 10000);
draw();
