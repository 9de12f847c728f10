/*
 * usage_batch.c
 *		Usage: many reports booked together.
 *
 * What adds the same to its total whatever that is, as increments without a hard limit do, is written set by set: the events into the table
 * with one log record for a page, their keys into the index one by one, and each total once.  Everything else is left to the caller, who books it
 * report by report when all that can be booked together is.
 *
 * Keys are entered in an order that all batches have in common (customer, meter, id), and whoever meets a key that somebody else is recording
 * waits before entering the next; then come the totals that are waited for, in the same order: so two batches with the same keys in another order
 * don't wait for each other.
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "errors.h"
#include "store/number.h"
#include "store/usage_booking.h"

/* Rows that go into the table at once: where a key is repeated, the others behind it are there already. */
#define ROWS_AT_ONCE 250

/* A booking of a batch. */
typedef struct Entry
{
	QzpayBooking booking;
	QzpayUsageItem *item;
	int			run;			/* of one customer and meter */
	bool		is_open;		/* its event is inserted, and waits for its total */
} Entry;

static int
compare_entries(const void *a, const void *b)
{
	const Entry *left = *(Entry *const *) a;
	const Entry *right = *(Entry *const *) b;
	int			order = left->run - right->run;

	if (order == 0)
		order = memcmp(&left->booking.event.id, &right->booking.event.id, sizeof(pg_uuid_t));
	/* Of one key the first report counts. */
	return order != 0 ? order : (left > right) - (left < right);
}

/* Inserts the events of these entries together. */
static void
insert_together(Entry **entries, int n)
{
	QzpayRows	rows;

	qzpay_usage_events_begin(&rows, entries[0]->booking.event.recorded_at, n);
	for (int i = 0; i < n; i++)
		qzpay_usage_events_add(&rows, &entries[i]->booking.event);
	qzpay_rows_insert(&rows);
	/* A row can't be taken back by the command that has inserted it. */
	CommandCounterIncrement();
	for (int i = 0; i < n; i++)
	{
		CHECK_FOR_INTERRUPTS();
		entries[i]->is_open = qzpay_booking_enter_key(&entries[i]->booking, &rows, i, &entries[i]->item->result);
	}
}

/*
 * Inserts the events whose keys are new.  The first one by itself: where it is a repetition, as in a batch that is sent again, the next ones
 * are looked for before they are inserted, until enough of them were new.
 */
static void
insert_events(Entry **entries, int n)
{
	for (int i = 0; i < n;)
	{
		int			n_together = Min(n - i, ROWS_AT_ONCE);

		if (i > 0 && qzpay_booking_expects_new_keys())
		{
			insert_together(&entries[i], n_together);
			i += n_together;
			continue;
		}
		CHECK_FOR_INTERRUPTS();
		entries[i]->is_open = qzpay_booking_insert_key(&entries[i]->booking, &entries[i]->item->result);
		i++;
	}
}

static bool
same_allowance(const QzpayAllowance *a, const QzpayAllowance *b)
{
	return a->unlimited == b->unlimited && a->type == b->type &&
		(a->unlimited || a->value == b->value || qzpay_number_compare(a->value, b->value) == 0);
}

/* What the open entries from the first on add that count into the same total, under the same allowance. */
typedef struct Addition
{
	QzpayBooking *booking;		/* of the first of them */
	Numeric		quantity;
	Entry	  **members;
	int			n_members;
} Addition;

/* Takes the first entry's companions out of those that are open. */
static void
gather(Entry **entries, int n, Addition *addition)
{
	QzpayBooking *first = &entries[0]->booking;
	QzpayUsageTotal *total = &first->total;

	addition->booking = first;
	addition->quantity = first->event.quantity;
	addition->members[0] = entries[0];
	addition->n_members = 1;
	entries[0]->is_open = false;
	for (int i = 1; i < n; i++)
	{
		const QzpayBooking *booking = &entries[i]->booking;

		if (!entries[i]->is_open || booking->event.period_start != first->event.period_start || !same_allowance(&booking->allowance, &first->allowance))
			continue;
		/* Without an amount of their own, events are worth their quantity. */
		if (total->amount != NULL || booking->event.amount != NULL)
			total->amount = qzpay_number_add(total->amount == NULL ? addition->quantity : total->amount,
											 booking->event.amount == NULL ? booking->event.quantity : booking->event.amount);
		addition->quantity = qzpay_number_add(addition->quantity, booking->event.quantity);
		addition->members[addition->n_members++] = entries[i];
		entries[i]->is_open = false;
	}
	total->adding = addition->n_members;
}

/* QzpayUsageDecision: the sum of the events. */
static bool
add_all(QzpayUsageTotal *total, Numeric *difference, void *arg)
{
	const Addition *addition = arg;

	*difference = addition->quantity;
	total->after = qzpay_number_add(total->before, *difference);
	return true;
}

/* Adds to the total, and answers. */
static void
add_to_total(Addition *addition)
{
	QzpayBooking *first = addition->booking;
	QzpayUsageResult answer;
	QzpayTotalResult outcome = qzpay_usage_total_add(&first->total, add_all, addition);

	memset(&answer, 0, sizeof(answer));
	if (outcome == QZPAY_TOTAL_ADDED)
	{
		CommandCounterIncrement();
		qzpay_booking_finish(first, &answer);
	}
	else
		qzpay_booking_refuse(first, outcome, &answer);
	for (int i = 0; i < addition->n_members; i++)
	{
		if (outcome != QZPAY_TOTAL_ADDED)
			qzpay_booking_take_back(&addition->members[i]->booking);
		addition->members[i]->item->result = answer;
	}
}

/* As many totals as the nearer caches have room for. */
#define PREFETCHED 256

static void
prefetch_totals(Entry **entries, int n)
{
	const QzpayUsageTotal *sought[PREFETCHED];
	int			n_sought = 0;

	for (int i = 0; i < n && n_sought < PREFETCHED; i++)
	{
		if (i == 0 || entries[i]->run != entries[i - 1]->run)
			sought[n_sought++] = &entries[i]->booking.total;
	}
	qzpay_usage_totals_prefetch(sought, n_sought);
}

/* Adds to their totals what is open, and leaves it where what the customer holds has changed since it was read. */
static void
add_to_totals(Entry **entries, int n)
{
	Addition	addition;

	prefetch_totals(entries, n);
	addition.members = MemoryContextAllocHuge(CurrentMemoryContext, n * sizeof(Entry *));
	for (int i = 0; i < n; i++)
	{
		int			end = i + 1;

		if (!entries[i]->is_open)
			continue;
		CHECK_FOR_INTERRUPTS();
		while (end < n && entries[end]->run == entries[i]->run)
			end++;
		gather(&entries[i], end - i, &addition);
		if (qzpay_entitlement_is_current(addition.booking->entitlement))
		{
			add_to_total(&addition);
			continue;
		}
		for (int member = 0; member < addition.n_members; member++)
		{
			qzpay_booking_take_back(&addition.members[member]->booking);
			addition.members[member]->item->is_left = true;
		}
	}
}

/*
 * qzpay_usage_record_together
 *		Books what can be booked together of reports that come sorted by customer and meter, each with its entitlement read by
 *		qzpay_entitlement_read_newest(); the answers are those of qzpay_usage_record(), but for the totals, which are the last.
 */
void
qzpay_usage_record_together(const QzpayCatalog *catalog, QzpayUsageItem *items, int n_items)
{
	Entry	   *entries = MemoryContextAllocHuge(CurrentMemoryContext, Max(n_items, 1) * sizeof(Entry));
	Entry	  **blind = MemoryContextAllocHuge(CurrentMemoryContext, Max(n_items, 1) * sizeof(Entry *));
	int			n_blind = 0;
	int			run = 0;

	for (int i = 0; i < n_items; i++)
	{
		QzpayUsageItem *item = &items[i];
		Entry	   *entry = &entries[n_blind];

		item->is_left = false;
		if (i > 0 && (item->entitlement != item[-1].entitlement || item->report->meter != item[-1].report->meter))
			run++;
		if (!qzpay_booking_prepare(&entry->booking, catalog, item->entitlement, item->report, &item->result))
			/* Another report of the batch may be the one that it repeats. */
			item->is_left = item->result.status == QZPAY_USAGE_REFUSED && item->result.sqlstate == ERRCODE_QZPAY_USAGE_CLOSED;
		else if (!qzpay_booking_adds_blindly(&entry->booking))
			item->is_left = true;
		else
		{
			entry->item = item;
			entry->run = run;
			entry->is_open = false;
			blind[n_blind++] = entry;
		}
	}
	qsort(blind, n_blind, sizeof(Entry *), compare_entries);
	insert_events(blind, n_blind);
	add_to_totals(blind, n_blind);
}
