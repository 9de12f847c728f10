/*
 * secrets.c
 *		Keys of providers and tokens, from the file of qzpay.secrets_file.
 *
 * KEY=value lines; blank lines and lines that start with # are skipped, "export " before a key is allowed, a value may stand in single or
 * double quotes, and nothing is expanded.  The file must be absolute, regular, owned by the server's user and closed to everybody else.
 * It is read again whenever it has changed, so rotating a key needs no reload.
 *
 * Values never leave C: no function returns one to SQL, and no message carries one, nor the file's path (but for the server's log).
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "storage/fd.h"
#include "utils/memutils.h"

#include "errors.h"
#include "guc.h"
#include "store/secrets.h"

#define MAX_FILE_SIZE (256 * 1024)

typedef struct Secret
{
	char	   *name;
	char	   *value;
} Secret;

/* What was read, and from what. */
static MemoryContext secrets_context = NULL;
static Secret *secrets = NULL;
static int	n_secrets = 0;
static char *contents = NULL;		/* the file's contents; names and values point into it */
static size_t contents_size = 0;
static char *read_path = NULL;
static struct stat read_stat;

/* The reason is for whoever called; the path only for the log, since its setting is for superusers. */
static void
unusable(const char *reason)
{
	ereport(ERROR,
			(errcode(ERRCODE_CONFIG_FILE_ERROR),
			 errmsg("the secrets file cannot be used"),
			 errdetail("%s", reason),
			 errdetail_log("%s File: %s", reason, qzpay_guc_secrets_file),
			 errhint("See qzpay.secrets_file: KEY=value lines, owned by the server's user, mode 0600.")));
}

/* Wipes and frees what was read. */
static void
forget(void)
{
	if (contents != NULL)
		explicit_bzero(contents, contents_size);
	if (secrets_context != NULL)
		MemoryContextReset(secrets_context);
	secrets = NULL;
	n_secrets = 0;
	contents = NULL;
	contents_size = 0;
	read_path = NULL;
}

static bool
is_name_char(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

/* Cuts one line into name and value, in place; false for lines without a pair.  A line that is neither is an error by its number. */
static bool
parse_line(char *line, int line_number, Secret *secret)
{
	char	   *end;

	while (*line == ' ' || *line == '\t')
		line++;
	end = line + strlen(line);
	while (end > line && (end[-1] == ' ' || end[-1] == '\t' || end[-1] == '\r'))
		*--end = '\0';
	if (*line == '\0' || *line == '#')
		return false;
	if (strncmp(line, "export ", 7) == 0)
		line += 7;
	secret->name = line;
	while (is_name_char(*line))
		line++;
	if (line == secret->name || *line != '=')
		unusable(psprintf("Line %d is not of the form KEY=value.", line_number));
	*line++ = '\0';
	if (end - line >= 2 && (*line == '"' || *line == '\'') && end[-1] == *line)
	{
		line++;
		*--end = '\0';
	}
	secret->value = line;
	/* Values go into HTTP headers. */
	for (; *line != '\0'; line++)
	{
		if ((unsigned char) *line < ' ' || *line == '\177')
			unusable(psprintf("The value in line %d contains a control character.", line_number));
	}
	return true;
}

/* Reads an open, checked file into the module's memory. */
static void
read_contents(int fd, const struct stat *st)
{
	MemoryContext old;
	int			line_number = 0;
	int			n_lines = 1;
	size_t		length = 0;
	char	   *line;

	old = MemoryContextSwitchTo(secrets_context);
	contents_size = st->st_size + 1;
	contents = palloc0(contents_size);
	while (length < st->st_size)
	{
		ssize_t		n = read(fd, contents + length, st->st_size - length);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			unusable("It cannot be read.");
		length += n;
	}
	if (memchr(contents, '\0', length) != NULL)
		unusable("It contains a zero byte.");
	for (char *c = contents; *c != '\0'; c++)
		n_lines += *c == '\n';
	secrets = palloc(sizeof(Secret) * n_lines);
	for (line = contents; line != NULL;)
	{
		char	   *next = strchr(line, '\n');

		if (next != NULL)
			*next++ = '\0';
		if (parse_line(line, ++line_number, &secrets[n_secrets]))
			n_secrets++;
		line = next;
	}
	read_path = pstrdup(qzpay_guc_secrets_file);
	read_stat = *st;
	MemoryContextSwitchTo(old);
}

/* Whether what was read is what the file still says; a change of content changes the times or the inode. */
static bool
is_current(const struct stat *st)
{
	return read_path != NULL && strcmp(read_path, qzpay_guc_secrets_file) == 0 &&
		st->st_dev == read_stat.st_dev && st->st_ino == read_stat.st_ino && st->st_size == read_stat.st_size &&
		st->st_mtim.tv_sec == read_stat.st_mtim.tv_sec && st->st_mtim.tv_nsec == read_stat.st_mtim.tv_nsec &&
		st->st_ctim.tv_sec == read_stat.st_ctim.tv_sec && st->st_ctim.tv_nsec == read_stat.st_ctim.tv_nsec;
}

/*
 * load
 *		Sees that the secrets are those of the file; false when no file is configured.
 *
 * What is checked is the open file, not its name.  Raises F0000 when it cannot be used.
 */
static bool
load(void)
{
	int			fd;
	struct stat st;

	if (qzpay_guc_secrets_file == NULL || qzpay_guc_secrets_file[0] == '\0')
	{
		forget();
		return false;
	}
	if (secrets_context == NULL)
		secrets_context = AllocSetContextCreate(TopMemoryContext, "qzpay secrets", ALLOCSET_SMALL_SIZES);

	/* Non-blocking, lest a pipe put in its place makes the backend wait. */
	fd = OpenTransientFile(qzpay_guc_secrets_file, O_RDONLY | O_NONBLOCK | PG_BINARY);
	if (fd < 0)
	{
		forget();
		unusable(errno == ENOENT ? "It does not exist." : "It cannot be opened.");
	}
	PG_TRY();
	{
		if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
			unusable("It is not a regular file.");
		if (st.st_uid != geteuid())
			unusable("It does not belong to the server's user.");
		if ((st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
			unusable("It is accessible by others than its owner.");
		if (st.st_size > MAX_FILE_SIZE)
			unusable("It is too large.");
		if (!is_current(&st))
		{
			forget();
			read_contents(fd, &st);
		}
	}
	PG_CATCH();
	{
		CloseTransientFile(fd);
		forget();
		PG_RE_THROW();
	}
	PG_END_TRY();
	CloseTransientFile(fd);
	return true;
}

/* Whether a usable file is configured; never raises. */
bool
qzpay_secrets_exist(void)
{
	MemoryContext old = CurrentMemoryContext;
	volatile bool exist = false;

	PG_TRY();
	{
		exist = load();
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(old);
		error = CopyErrorData();
		/* Opening and reading a file take nothing that only an abort gives back; anything else goes on. */
		if (error->sqlerrcode != ERRCODE_CONFIG_FILE_ERROR)
			PG_RE_THROW();
		FlushErrorState();
		FreeErrorData(error);
	}
	PG_END_TRY();
	return exist;
}

/*
 * qzpay_secret
 *		Value of a key, or NULL when it isn't there or empty.
 *
 * Valid until the next call of this module.  The later of two lines counts, as in a shell.  Raises F0000 when the file cannot be used.
 */
const char *
qzpay_secret(const char *name)
{
	if (!load())
		return NULL;
	for (int i = n_secrets - 1; i >= 0; i--)
	{
		if (strcmp(secrets[i].name, name) == 0)
			return secrets[i].value[0] != '\0' ? secrets[i].value : NULL;
	}
	return NULL;
}

/* The installation's own keys (QZPAY_...) are for nobody to send. */
static bool
is_allowed(const char *name, const char *const *allowed, int n_allowed)
{
	if (strncmp(name, "QZPAY_", 6) == 0)
		return false;
	for (int i = 0; i < n_allowed; i++)
	{
		if (strcmp(name, allowed[i]) == 0)
			return true;
	}
	return false;
}

/*
 * qzpay_secrets_substitute
 *		Appends the text to *out with every ${NAME} replaced by that secret.
 *
 * Only allowed names are replaced, those the provider's row declares; anything else that looks like one is missing, so that it is never
 * sent as it stands.  False with the name in *missing (palloc'd), and *out is then not to be used; whoever sends wipes *out afterwards.
 * Raises F0000 when the file cannot be used.
 */
bool
qzpay_secrets_substitute(const char *template, const char *const *allowed, int n_allowed, StringInfo out, char **missing)
{
	const char *start;

	while ((start = strstr(template, "${")) != NULL)
	{
		const char *name = start + 2;
		const char *end = name;
		const char *value;

		while (is_name_char(*end))
			end++;
		if (*end != '}' || end == name)
		{
			appendBinaryStringInfo(out, template, name - template);
			template = name;
			continue;
		}
		*missing = pnstrdup(name, end - name);
		value = is_allowed(*missing, allowed, n_allowed) ? qzpay_secret(*missing) : NULL;
		if (value == NULL)
			return false;
		pfree(*missing);
		*missing = NULL;
		appendBinaryStringInfo(out, template, start - template);
		appendStringInfoString(out, value);
		template = end + 1;
	}
	appendStringInfoString(out, template);
	return true;
}
