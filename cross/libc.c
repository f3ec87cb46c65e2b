/* What musl has at many times the size it needs here, written anew: threads' names, and four that
   only its resolver calls, with short texts and few addresses. cross/libc makes it. */
#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

/* musl's also names other threads, for which it takes in all of printf, down to the arithmetic of
   128-bit floats; Rust's library only ever names the thread that asks. */
int pthread_setname_np(pthread_t thread, const char *name) {
  if (!pthread_equal(thread, pthread_self()))
    return ENOSYS;
  return prctl(PR_SET_NAME, name) ? errno : 0;
}

/* Sorts by insertion; a name has at most 48 addresses. */
void qsort(void *base, size_t count, size_t width, int (*compare)(const void *, const void *)) {
  char *first = base;
  for (size_t sorted = 1; sorted < count; sorted++)
    for (char *at = first + sorted * width; at > first && compare(at - width, at) > 0; at -= width)
      for (size_t byte = 0; byte < width; byte++) {
        char moved = at[byte];
        at[byte] = (at - width)[byte];
        (at - width)[byte] = moved;
      }
}

/* Looks at each place in turn; the words are names of hosts and services. */
char *strstr(const char *text, const char *word) {
  size_t length = strlen(word);
  for (; strncmp(text, word, length); text++)
    if (!*text)
      return NULL;
  return (char *)text;
}

/* Only counts. No locale is set, in which a byte could be anything but one character. */
size_t mbstowcs(wchar_t *wide, const char *text, size_t most) {
  return wide ? (size_t)-1 : strlen(text);
}

static int digit(char c) {
  return isdigit((unsigned char)c) ? c - '0' : isalpha((unsigned char)c) ? (c | 32) - 'a' + 10 : 36;
}

static unsigned long long number(const char *text, char **end, int base, unsigned long long most) {
  const char *at = text, *first;
  unsigned long long value = 0;
  int minus, over = 0;
  while (isspace((unsigned char)*at))
    at++;
  minus = *at == '-';
  at += minus || *at == '+';
  if ((base == 0 || base == 16) && at[0] == '0' && (at[1] | 32) == 'x' && digit(at[2]) < 16)
    at += 2, base = 16;
  else if (base == 0)
    base = *at == '0' ? 8 : 10;
  for (first = at; digit(*at) < base; at++)
    over |= __builtin_mul_overflow(value, base, &value) |
            __builtin_add_overflow(value, digit(*at), &value) | (value > most);
  if (end)
    *end = (char *)(at == first ? text : at);
  if (over)
    errno = ERANGE;
  return over ? most : minus ? -value : value;
}

unsigned long strtoul(const char *text, char **end, int base) {
  return number(text, end, base, ULONG_MAX);
}

unsigned long long strtoull(const char *text, char **end, int base) {
  return number(text, end, base, ULLONG_MAX);
}
