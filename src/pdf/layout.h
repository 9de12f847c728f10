/*
 * layout.h
 *		A document laid out on pages.  Knows Pango and Cairo, and no server: what it is given is plain memory, what it returns too.
 */
#ifndef QZPAY_PDF_LAYOUT_H
#define QZPAY_PDF_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>

/* Most columns of a table. */
#define QZPAY_PDF_COLUMNS 8

/* Texts are UTF-8, terminated; NULL and empty are the same. */
typedef struct QzpayPdfTexts
{
	int			n;
	const char **items;
} QzpayPdfTexts;

typedef struct QzpayPdfRow
{
	const char *cells[QZPAY_PDF_COLUMNS];
	QzpayPdfTexts details;		/* below the first cell, smaller */
	bool		strong;
} QzpayPdfRow;

typedef struct QzpayPdfTable
{
	const char *label;
	int			columns;		/* the first is text, the others are figures */
	const char *heads[QZPAY_PDF_COLUMNS]; /* none: a table without a head */
	bool		has_head;
	int			n;
	QzpayPdfRow *rows;
} QzpayPdfTable;

typedef struct QzpayPdfSection
{
	const char *label;
	QzpayPdfTexts lines;
} QzpayPdfSection;

typedef struct QzpayPdfDocument
{
	const char *heading;
	const char *author;
	const char *lang;
	const char *created;		/* ISO 8601, or NULL */
	const char *creator;		/* the program */
	bool		rtl;
	bool		letter;			/* paper: Letter, else A4 */
	double		accent[3];		/* red, green, blue; 0 to 1 */
	const unsigned char *logo;	/* a PNG or JPEG file, or NULL */
	size_t		logo_size;
	QzpayPdfTexts notices;
	QzpayPdfTable facts;
	QzpayPdfSection parties[2];
	QzpayPdfTable lines;
	QzpayPdfTable taxes;		/* n 0: none */
	QzpayPdfTable totals;
	QzpayPdfSection notes;
	const char *footer;
	const char *page;			/* pattern with {page} and {pages} */
	bool		(*interrupted) (void); /* asked now and then; true ends the work */
} QzpayPdfDocument;

typedef struct QzpayPdfResult
{
	unsigned char *bytes;		/* from malloc(), also on failure: free() it */
	size_t		size;
	size_t		capacity;
	int			pages;
	bool		interrupted;
} QzpayPdfResult;

extern const char *qzpay_pdf_layout(const QzpayPdfDocument *document, QzpayPdfResult *result);

#endif /* QZPAY_PDF_LAYOUT_H */
