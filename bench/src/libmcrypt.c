/*
 * libmcrypt on request, for the table of ciphers: encrypts or decrypts a buffer in place, again and again, as one
 * CFB chain with 8-bit feedback, and tells how long that took.
 *
 * It first says the version of the library. A request is then a line on standard input:
 *
 *     ALGORITHM KEY_BYTES e|d BUFFER_BYTES REPETITIONS
 *
 * The key is KEY_BYTES bytes 1, 2, 3, ...; the initialization vector is all sevens; the buffer begins as bytes
 * 0, 1, 2, ... The answer is a line on standard output:
 *
 *     NANOSECONDS CHECK
 *
 * NANOSECONDS is processor time, without the key schedule. CHECK is the last eight bytes of the buffer in
 * hexadecimal, so that the asking side sees that both computed the same. Anything that goes wrong ends the program.
 */
#include <mcrypt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define MAX_BUFFER_BYTES 65536
#define MAX_KEY_BYTES 128
#define MAX_IV_BYTES 32

static long long nanoseconds_of_work(void)
{
	struct timespec time;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void fail(const char *what)
{
	fprintf(stderr, "%s\n", what);
	exit(1);
}

int main(void)
{
	static unsigned char buffer[MAX_BUFFER_BYTES];
	unsigned char key[MAX_KEY_BYTES], iv[MAX_IV_BYTES];
	char algorithm[32], direction;
	int key_bytes, bytes, repetitions, i;

	printf("%s\n", LIBMCRYPT_VERSION);
	fflush(stdout);
	while (scanf("%31s %d %c %d %d", algorithm, &key_bytes, &direction, &bytes, &repetitions) == 5) {
		long long begin, end;
		MCRYPT cipher;

		if (key_bytes < 1 || key_bytes > MAX_KEY_BYTES || bytes < 8 || bytes > MAX_BUFFER_BYTES)
			fail("key or buffer of an impossible size");
		for (i = 0; i < key_bytes; i++)
			key[i] = (unsigned char)(i + 1);
		for (i = 0; i < bytes; i++)
			buffer[i] = (unsigned char)i;
		memset(iv, 7, sizeof iv);

		cipher = mcrypt_module_open(algorithm, NULL, "cfb", NULL);
		if (cipher == MCRYPT_FAILED || mcrypt_generic_init(cipher, key, key_bytes, iv) < 0)
			fail("libmcrypt does not have this cipher");
		begin = nanoseconds_of_work();
		for (i = 0; i < repetitions; i++) {
			if (direction == 'e')
				mcrypt_generic(cipher, buffer, bytes);
			else
				mdecrypt_generic(cipher, buffer, bytes);
		}
		end = nanoseconds_of_work();
		mcrypt_generic_end(cipher);

		printf("%lld ", end - begin);
		for (i = bytes - 8; i < bytes; i++)
			printf("%02x", buffer[i]);
		printf("\n");
		fflush(stdout);
	}
	return 0;
}
