// A stub, not OpenWrt's: what LuCI's cbi.js defines, as far as our views use it.
'use strict';

function _(text) {
	return text;
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
