// A stub, not OpenWrt's: what LuCI's cbi.js defines, as far as our views use it.
'use strict';

// What a text is called in a catalogue: Paul Hsieh's hash of its bytes, seeded with their number.
function sfh(text) {
	const bytes = new TextEncoder().encode(text), rest = bytes.length & 3;
	const pair = (at) => bytes[at] | bytes[at + 1] << 8;
	let hash = bytes.length, at = 0;
	const mix = (left, right) => { hash ^= hash << left; hash = hash + (hash >>> right) >>> 0; };
	for (; at < bytes.length - rest; at += 4) {
		hash += pair(at);
		hash = (hash << 16 ^ pair(at + 2) << 11 ^ hash) >>> 0;
		hash = hash + (hash >>> 11) >>> 0;
	}
	const signed = bytes.length ? bytes[bytes.length - 1] << 24 >> 24 : 0;
	if (rest == 3) {
		hash += pair(at);
		hash = (hash ^ hash << 16 ^ signed << 18) >>> 0;
		hash = hash + (hash >>> 11) >>> 0;
	} else if (rest == 2) {
		hash += pair(at);
		mix(11, 17);
	} else if (rest == 1) {
		hash += signed;
		mix(10, 1);
	}
	mix(3, 5);
	mix(4, 17);
	mix(25, 6);
	return hash.toString(16).padStart(8, '0');
}

function _(text) {
	return window.TR && TR[sfh(text)] || text;
}

// %s and %d, %% and, as in %.1mB, thousands with their letter.
String.prototype.format = function() {
	const words = Array.from(arguments);
	return this.replace(/%(?:\.(\d+))?([sdm%])/g, function(all, digits, kind) {
		if (kind == '%')
			return '%';
		let word = words.shift();
		if (kind == 's')
			return String(word);
		if (kind == 'd')
			return String(Math.trunc(word));
		const letters = [ '', 'K', 'M', 'G', 'T' ];
		while (word >= 1000 && letters.length > 1) {
			word /= 1000;
			letters.shift();
		}
		return Number(word).toFixed(digits) + ' ' + letters[0];
	});
};
