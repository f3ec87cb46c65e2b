/* Holds what libc.c has written anew, each called own_NAME, against the C library of the machine
   that builds. cross/libc runs it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void own_qsort(void *, size_t, size_t, int (*)(const void *, const void *));
char *own_strstr(const char *, const char *);
size_t own_mbstowcs(wchar_t *, const char *, size_t);
unsigned long own_strtoul(const char *, char **, int);
unsigned long long own_strtoull(const char *, char **, int);

static unsigned drawn = 1;

static unsigned draw(unsigned below) {
  drawn = drawn * 1103515245u + 12345u;
  return (drawn >> 16) % below;
}

static void text_of(const char *letters, char *text, unsigned longest) {
  unsigned length = draw(longest);
  for (unsigned at = 0; at < length; at++)
    text[at] = letters[draw(strlen(letters))];
  text[length] = 0;
}

static void hold(int holds, const char *what, const char *with) {
  if (holds)
    return;
  printf("%s of libc.c is wrong, with '%s'\n", what, with);
  exit(1);
}

static void numbers(const char *text, int base) {
  char *end, *own_end;
  unsigned long value = strtoul(text, &end, base);
  hold(value == own_strtoul(text, &own_end, base) && end == own_end, "strtoul", text);
  errno = 0;
  unsigned long long wide = strtoull(text, &end, base);
  int over = errno == ERANGE;
  errno = 0;
  hold(wide == own_strtoull(text, &own_end, base) && end == own_end, "strtoull", text);
  hold(over == (errno == ERANGE), "strtoull", text);
}

static int by_first(const void *one, const void *other) {
  return *(const unsigned char *)one - *(const unsigned char *)other;
}

/* Stable, too: each holds its place behind what it is sorted by. */
static void sorting(unsigned count) {
  unsigned char items[48][3];
  for (unsigned at = 0; at < count; at++)
    items[at][0] = draw(9), items[at][1] = items[at][2] = at;
  own_qsort(items, count, sizeof *items, by_first);
  for (unsigned at = 1; at < count; at++)
    hold(memcmp(items[at - 1], items[at], 2) < 0 && items[at][1] == items[at][2], "qsort", "");
}

int main(void) {
  const char *large[] = {"18446744073709551615", "18446744073709551616", "-18446744073709551616",
                         "4294967295", "4294967296", "0xfffffffffffffffff"};
  const int bases[] = {0, 8, 10, 16};
  for (unsigned turn = 0; turn < 50000; turn++) {
    char text[12], word[5];
    text_of(" +-0x9afzg1", text, sizeof text);
    text_of("-0xa1", word, sizeof word);
    hold(strstr(text, word) == own_strstr(text, word), "strstr", text);
    hold(mbstowcs(0, text, 0) == own_mbstowcs(0, text, 0), "mbstowcs", text);
    numbers(text, bases[turn % 4]);
    sorting(turn % 49);
  }
  for (unsigned at = 0; at < sizeof large / sizeof *large; at++)
    numbers(large[at], 0);
}
