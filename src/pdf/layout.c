/*
 * layout.c
 *		A document laid out on pages.
 *
 * The same code runs twice: the first pass draws nothing and counts the pages, so that each page can say of how many it is one.  Every
 * text is laid out by Pango, which shapes any script, finds a font for it and embeds what it used; its lines are placed one by one, so
 * that a text longer than a page goes on at the next.  Lengths are points.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cairo-pdf.h>
#include <fontconfig/fontconfig.h>
#include <pango/pangocairo.h>

#include "pdf/layout.h"
#include "pdf/logo.h"

#define A4_WIDTH 595.276
#define A4_HEIGHT 841.89
#define LETTER_WIDTH 612.0
#define LETTER_HEIGHT 792.0
#define MARGIN 43.0
#define MARGIN_BOTTOM 62.0
#define GUTTER 24.0
#define CELL_GAP 12.0
#define ROW_PADDING 4.0

/* Figures may take so much of a table's width; what is wider is broken. */
#define FIGURES_SHARE 0.68

#define LOGO_WIDTH 150.0
#define LOGO_HEIGHT 46.0

/* A text of a party or a fact is cut after so many lines. */
#define BRIEF_LINES 4

#define FAMILY "Noto Sans, DejaVu Sans, sans-serif"

typedef struct Ink
{
	double		red;
	double		green;
	double		blue;
} Ink;

static const Ink black = {0.11, 0.118, 0.129};
static const Ink grey = {0.33, 0.345, 0.37};
static const Ink rule_ink = {0.85, 0.863, 0.878};
static const Ink warning = {0.541, 0.165, 0.047};

typedef enum Font
{
	FONT_TEXT,
	FONT_BOLD,
	FONT_SMALL,
	FONT_LABEL,
	FONT_TOTAL,
	FONT_TITLE,
	FONT_COUNT
} Font;

static const struct
{
	double		size;
	bool		bold;
}			font_kinds[FONT_COUNT] = {
	[FONT_TEXT] = {9.5, false},
	[FONT_BOLD] = {9.5, true},
	[FONT_SMALL] = {8.25, false},
	[FONT_LABEL] = {8.25, true},
	[FONT_TOTAL] = {11.5, true},
	[FONT_TITLE] = {19, true},
};

/* Where a text stands in its width. */
typedef enum Side
{
	SIDE_START,
	SIDE_END
} Side;

typedef struct Page
{
	const QzpayPdfDocument *document;
	cairo_t	   *cairo;
	PangoLayout *layout;		/* one for all texts */
	PangoFontDescription *fonts[FONT_COUNT];
	double		width;
	double		height;
	double		y;				/* next free place */
	int			number;			/* of this page */
	int			pages;			/* 0 in the first pass, which does not draw */
	const QzpayPdfTable *table;	/* being drawn: its head is repeated */
	double		table_x;
	double		widths[QZPAY_PDF_COLUMNS];
	bool		stopped;
} Page;

static bool
is_there(const char *text)
{
	return text != NULL && *text != '\0';
}

static double
content_width(const Page *page)
{
	return page->width - 2 * MARGIN;
}

static double
bottom(const Page *page)
{
	return page->height - MARGIN_BOTTOM;
}

/* Tags tell readers what a piece is; they don't show. */
static void
tag_begin(Page *page, const char *name)
{
	if (page->pages > 0)
		cairo_tag_begin(page->cairo, name, NULL);
}

static void
tag_end(Page *page, const char *name)
{
	if (page->pages > 0)
		cairo_tag_end(page->cairo, name);
}

static void
ink(Page *page, Ink colour)
{
	cairo_set_source_rgb(page->cairo, colour.red, colour.green, colour.blue);
}

/* The left edge of a box that stands so far from the beginning of a line. */
static double
place(const Page *page, double x, double width)
{
	return page->document->rtl ? page->width - x - width : x;
}

static void
draw_rule(Page *page, double x, double y, double width, double thickness, Ink colour)
{
	if (page->pages == 0)
		return;
	ink(page, colour);
	cairo_rectangle(page->cairo, place(page, x, width), y, width, thickness);
	cairo_fill(page->cairo);
}

/* Prepares the layout of a text.  brief > 0: at most so many lines. */
static void
set_text(Page *page, const char *text, Font font, double width, int brief)
{
	pango_layout_set_font_description(page->layout, page->fonts[font]);
	pango_layout_set_width(page->layout, width > 0 ? (int) ceil(width * PANGO_SCALE) : -1);
	pango_layout_set_height(page->layout, brief > 0 ? -brief : -1);
	pango_layout_set_ellipsize(page->layout, brief > 0 ? PANGO_ELLIPSIZE_END : PANGO_ELLIPSIZE_NONE);
	pango_layout_set_text(page->layout, text != NULL ? text : "", -1);
}

static double
text_height(Page *page, const char *text, Font font, double width, int brief)
{
	PangoRectangle logical;

	if (!is_there(text))
		return 0;
	set_text(page, text, font, width, brief);
	pango_layout_get_extents(page->layout, NULL, &logical);
	return (double) logical.height / PANGO_SCALE;
}

static double
text_width(Page *page, const char *text, Font font)
{
	PangoRectangle logical;

	if (!is_there(text))
		return 0;
	set_text(page, text, font, 0, 0);
	pango_layout_get_extents(page->layout, NULL, &logical);
	return (double) logical.width / PANGO_SCALE;
}

static void table_head(Page *page);

/* What every page ends with; then the next one begins. */
static void
end_page(Page *page)
{
	const QzpayPdfDocument *document = page->document;
	double		width = content_width(page);
	double		y = page->height - MARGIN_BOTTOM + 22;
	PangoLayoutLine *line;
	PangoRectangle logical;
	char		text[256];
	const char *from = is_there(document->page) ? document->page : "{page}/{pages}";
	size_t		n = 0;

	if (page->pages == 0)
		return;
	while (*from != '\0' && n < sizeof(text) - 16)
	{
		if (strncmp(from, "{pages}", 7) == 0)
			n += (size_t) snprintf(text + n, 12, "%d", page->pages), from += 7;
		else if (strncmp(from, "{page}", 6) == 0)
			n += (size_t) snprintf(text + n, 12, "%d", page->number), from += 6;
		else
			text[n++] = *from++;
	}
	text[n] = '\0';
	if (!g_utf8_validate(text, -1, NULL))
		snprintf(text, sizeof(text), "%d/%d", page->number, page->pages);
	draw_rule(page, MARGIN, y - 8, width, 0.5, rule_ink);
	ink(page, grey);
	for (int side = SIDE_START; side <= SIDE_END; side++)
	{
		set_text(page, side == SIDE_START ? document->heading : text, FONT_SMALL, width * (side == SIDE_START ? 0.65 : 0.3), 1);
		line = pango_layout_get_line_readonly(page->layout, 0);
		pango_layout_line_get_extents(line, NULL, &logical);
		cairo_move_to(page->cairo,
					  place(page, side == SIDE_START ? MARGIN : MARGIN + width - (double) logical.width / PANGO_SCALE,
							(double) logical.width / PANGO_SCALE),
					  y - (double) logical.y / PANGO_SCALE);
		pango_cairo_show_layout_line(page->cairo, line);
	}
	cairo_show_page(page->cairo);
}

static void
new_page(Page *page)
{
	end_page(page);
	page->number++;
	page->y = MARGIN;
	if (page->document->interrupted != NULL && page->document->interrupted())
		page->stopped = true;
	if (page->table != NULL)
		table_head(page);
}

/* Goes to the next page unless so much fits on this one. */
static void
need(Page *page, double height)
{
	if (page->y + height > bottom(page) && page->y > MARGIN)
		new_page(page);
}

/*
 * draw_text
 *		A text at the current place, line by line, over pages if it must; moves the place below it.
 */
static void
draw_text(Page *page, const char *text, Font font, Ink colour, double x, double width, Side side, int brief, const char *tag)
{
	PangoLayout *layout;
	int			lines;

	if (!is_there(text) || page->stopped)
		return;
	set_text(page, text, font, width, brief);
	/* The head of a table on a new page is laid out in between. */
	layout = pango_layout_copy(page->layout);
	lines = pango_layout_get_line_count(layout);
	tag_begin(page, tag);
	for (int n = 0; n < lines && !page->stopped; n++)
	{
		PangoLayoutLine *line = pango_layout_get_line_readonly(layout, n);
		PangoRectangle logical;
		double		line_height;
		double		line_width;

		pango_layout_line_get_extents(line, NULL, &logical);
		line_height = (double) logical.height / PANGO_SCALE;
		line_width = fmin((double) logical.width / PANGO_SCALE, width);
		if (page->y + line_height > bottom(page) && page->y > MARGIN)
		{
			tag_end(page, tag);
			new_page(page);
			tag_begin(page, tag);
		}
		if (page->pages > 0)
		{
			ink(page, colour);
			cairo_move_to(page->cairo, place(page, side == SIDE_START ? x : x + width - line_width, line_width),
						  page->y - (double) logical.y / PANGO_SCALE);
			pango_cairo_show_layout_line(page->cairo, line);
		}
		page->y += line_height;
	}
	tag_end(page, tag);
	g_object_unref(layout);
}

/* Widths of a table's columns: figures take what they need, as far as there is room, the text the rest. */
static void
measure_table(Page *page, const QzpayPdfTable *table, double width)
{
	double		figures = 0;

	for (int c = 1; c < table->columns; c++)
	{
		double		widest = table->has_head ? text_width(page, table->heads[c], FONT_LABEL) : 0;

		for (int r = 0; r < table->n; r++)
			widest = fmax(widest, text_width(page, table->rows[r].cells[c],
											 table->rows[r].strong ? (r == table->n - 1 ? FONT_TOTAL : FONT_BOLD) : FONT_TEXT));
		page->widths[c] = widest + CELL_GAP;
		figures += page->widths[c];
	}
	if (figures > width * FIGURES_SHARE)
	{
		for (int c = 1; c < table->columns; c++)
			page->widths[c] *= width * FIGURES_SHARE / figures;
		figures = width * FIGURES_SHARE;
	}
	page->widths[0] = width - figures;
}

static double
table_width(const Page *page, const QzpayPdfTable *table)
{
	double		width = 0;

	for (int c = 0; c < table->columns; c++)
		width += page->widths[c];
	return width;
}

/* The cells of figures of a row that begins here; moves the place to the end of the lowest. */
static void
draw_figures(Page *page, const QzpayPdfTable *table, const char *const *cells, Font font, const char *tag)
{
	double		top = page->y;
	double		lowest = top;
	double		x = page->table_x + page->widths[0];

	for (int c = 1; c < table->columns; c++)
	{
		page->y = top;
		draw_text(page, cells[c], font, black, x + CELL_GAP, page->widths[c] - CELL_GAP, SIDE_END, BRIEF_LINES, tag);
		lowest = fmax(lowest, page->y);
		x += page->widths[c];
	}
	page->y = lowest;
}

static void
table_head(Page *page)
{
	const QzpayPdfTable *table = page->table;
	double		top = page->y;
	double		text_end;

	if (!table->has_head)
		return;
	/* A head does not call for another one. */
	page->table = NULL;
	tag_begin(page, "TR");
	draw_text(page, table->heads[0], FONT_LABEL, black, page->table_x, page->widths[0], SIDE_START, BRIEF_LINES, "TH");
	text_end = page->y;
	page->y = top;
	draw_figures(page, table, table->heads, FONT_LABEL, "TH");
	tag_end(page, "TR");
	page->y = fmax(page->y, text_end) + ROW_PADDING;
	draw_rule(page, page->table_x, page->y, table_width(page, table), 1, black);
	page->y += ROW_PADDING + 1;
	page->table = table;
}

static double
row_height(Page *page, const QzpayPdfTable *table, const QzpayPdfRow *row, Font font)
{
	double		height = text_height(page, row->cells[0], font, page->widths[0], 0);

	for (int n = 0; n < row->details.n; n++)
		height += text_height(page, row->details.items[n], FONT_SMALL, page->widths[0], 0);
	for (int c = 1; c < table->columns; c++)
		height = fmax(height, text_height(page, row->cells[c], font, page->widths[c] - CELL_GAP, BRIEF_LINES));
	return height + 2 * ROW_PADDING + 1;
}

static void
draw_row(Page *page, const QzpayPdfTable *table, int n)
{
	const QzpayPdfRow *row = &table->rows[n];
	Font		font = !row->strong ? FONT_TEXT : n == table->n - 1 ? FONT_TOTAL : FONT_BOLD;
	double		height = row_height(page, table, row, font);
	double		room = bottom(page) - 2 * MARGIN;
	double		top;
	double		text_end;

	/* A row stays in one piece, unless it alone would fill a page: then its figures stand where it begins. */
	need(page, fmin(height, room));
	top = page->y;
	tag_begin(page, "TR");
	if (height > room)
		draw_figures(page, table, row->cells, font, "TD");
	page->y = top;
	tag_begin(page, "TH");
	draw_text(page, row->cells[0], font, black, page->table_x, page->widths[0], SIDE_START, 0, "P");
	for (int d = 0; d < row->details.n; d++)
		draw_text(page, row->details.items[d], FONT_SMALL, grey, page->table_x, page->widths[0], SIDE_START, 0, "P");
	tag_end(page, "TH");
	if (height <= room)
	{
		text_end = page->y;
		page->y = top;
		draw_figures(page, table, row->cells, font, "TD");
		page->y = fmax(page->y, text_end);
	}
	tag_end(page, "TR");
	page->y += ROW_PADDING;
	if (table->has_head || n < table->n - 1)
		draw_rule(page, page->table_x, page->y, table_width(page, table), 0.5, rule_ink);
	page->y += ROW_PADDING + 0.5;
	if (page->document->interrupted != NULL && n % 16 == 0 && page->document->interrupted())
		page->stopped = true;
}

static double
table_height(Page *page, const QzpayPdfTable *table, double width)
{
	double		height = text_height(page, table->label, FONT_LABEL, width, 1) + ROW_PADDING;

	measure_table(page, table, width);
	if (table->has_head)
		height += text_height(page, table->heads[0], FONT_LABEL, page->widths[0], BRIEF_LINES) + 2 * ROW_PADDING + 1;
	/* Far more than a page is as good as all of it. */
	for (int r = 0; r < table->n && height < page->height; r++)
		height += row_height(page, table, &table->rows[r],
							 !table->rows[r].strong ? FONT_TEXT
							 : r == table->n - 1    ? FONT_TOTAL
													: FONT_BOLD);
	return height;
}

static void
draw_table(Page *page, const QzpayPdfTable *table, double x, double width)
{
	measure_table(page, table, width);
	page->table_x = x;
	tag_begin(page, "Sect");
	draw_text(page, table->label, FONT_LABEL, grey, x, width, SIDE_START, 1, "H2");
	page->y += ROW_PADDING;
	tag_begin(page, "Table");
	page->table = table;
	table_head(page);
	for (int r = 0; r < table->n && !page->stopped; r++)
		draw_row(page, table, r);
	page->table = NULL;
	tag_end(page, "Table");
	tag_end(page, "Sect");
}

/* Draws the logo at the end of the title's line; the room it took. */
static void
draw_logo(Page *page, cairo_surface_t *logo, double *width, double *height)
{
	double		pixels_wide = cairo_image_surface_get_width(logo);
	double		pixels_high = cairo_image_surface_get_height(logo);
	double		scale = fmin(fmin(LOGO_WIDTH / pixels_wide, LOGO_HEIGHT / pixels_high), 0.75);

	*width = pixels_wide * scale;
	*height = pixels_high * scale;
	if (page->pages == 0)
		return;
	tag_begin(page, "Figure");
	cairo_save(page->cairo);
	cairo_translate(page->cairo, place(page, page->width - MARGIN - *width, *width), page->y);
	cairo_scale(page->cairo, scale, scale);
	cairo_set_source_surface(page->cairo, logo, 0, 0);
	cairo_paint(page->cairo);
	cairo_restore(page->cairo);
	tag_end(page, "Figure");
}

static void
draw_head(Page *page, cairo_surface_t *logo)
{
	const QzpayPdfDocument *document = page->document;
	Ink			accent = {document->accent[0], document->accent[1], document->accent[2]};
	double		logo_width = 0;
	double		logo_height = 0;
	double		top;
	double		label_width = 0;

	draw_rule(page, MARGIN, page->y, content_width(page), 3, accent);
	page->y += 22;
	top = page->y;
	if (logo != NULL)
		draw_logo(page, logo, &logo_width, &logo_height);
	draw_text(page, document->heading, FONT_TITLE, black, MARGIN, content_width(page) - (logo_width > 0 ? logo_width + GUTTER : 0),
			  SIDE_START, BRIEF_LINES, "H1");
	page->y = fmax(page->y, top + logo_height) + 14;
	for (int n = 0; n < document->notices.n; n++)
	{
		top = page->y;
		page->y += 6;
		draw_text(page, document->notices.items[n], FONT_BOLD, warning, MARGIN + 10, content_width(page) - 20, SIDE_START,
				  BRIEF_LINES, "P");
		page->y += 6;
		if (page->pages > 0)
		{
			ink(page, warning);
			cairo_set_line_width(page->cairo, 1.2);
			cairo_rectangle(page->cairo, MARGIN, top, content_width(page), page->y - top);
			cairo_stroke(page->cairo);
		}
		page->y += 8;
	}
	page->y += 4;
	for (int n = 0; n < document->facts.n; n++)
		label_width = fmax(label_width, text_width(page, document->facts.rows[n].cells[0], FONT_TEXT));
	label_width = fmin(label_width, content_width(page) / 3);
	for (int n = 0; n < document->facts.n; n++)
	{
		double		value_x = MARGIN + label_width + CELL_GAP;
		double		low;

		top = page->y;
		draw_text(page, document->facts.rows[n].cells[0], FONT_TEXT, grey, MARGIN, label_width, SIDE_START, 2, "P");
		low = page->y;
		page->y = top;
		draw_text(page, document->facts.rows[n].cells[1], FONT_TEXT, black, value_x, page->width - MARGIN - value_x, SIDE_START,
				  BRIEF_LINES, "P");
		page->y = fmax(page->y, low) + 2;
	}
	page->y += 10;
}

static double
party_height(Page *page, const QzpayPdfSection *party, double width)
{
	double		height = text_height(page, party->label, FONT_LABEL, width, 1) + 3;

	for (int n = 0; n < party->lines.n; n++)
		height += text_height(page, party->lines.items[n], n == 0 ? FONT_BOLD : FONT_TEXT, width, BRIEF_LINES);
	return height;
}

static void
draw_parties(Page *page)
{
	const QzpayPdfDocument *document = page->document;
	double		width = (content_width(page) - GUTTER) / 2;
	double		top;
	double		lowest;

	need(page, fmax(party_height(page, &document->parties[0], width), party_height(page, &document->parties[1], width)));
	top = lowest = page->y;
	for (int p = 0; p < 2; p++)
	{
		double		x = MARGIN + p * (width + GUTTER);

		page->y = top;
		tag_begin(page, "Sect");
		draw_text(page, document->parties[p].label, FONT_LABEL, grey, x, width, SIDE_START, 1, "H2");
		page->y += 3;
		for (int n = 0; n < document->parties[p].lines.n; n++)
			draw_text(page, document->parties[p].lines.items[n], n == 0 ? FONT_BOLD : FONT_TEXT, black, x, width, SIDE_START,
					  BRIEF_LINES, "P");
		tag_end(page, "Sect");
		lowest = fmax(lowest, page->y);
	}
	page->y = lowest + 18;
}

/* Taxes beside the totals where both fit on a page, else one below the other. */
static void
draw_sums(Page *page)
{
	const QzpayPdfDocument *document = page->document;
	double		width = (content_width(page) - GUTTER) / 2;
	double		totals_x = MARGIN + width + GUTTER;
	double		totals_height = table_height(page, &document->totals, width);
	double		taxes_height = document->taxes.n > 0 ? table_height(page, &document->taxes, width) : 0;
	double		height = fmax(totals_height, taxes_height);
	double		top;
	double		taxes_end = 0;

	page->y += 12;
	if (height < bottom(page) - MARGIN)
	{
		need(page, height);
		top = page->y;
		if (document->taxes.n > 0)
		{
			draw_table(page, &document->taxes, MARGIN, width);
			taxes_end = page->y;
			page->y = top;
		}
		draw_table(page, &document->totals, totals_x, width);
		page->y = fmax(page->y, taxes_end);
	}
	else
	{
		if (document->taxes.n > 0)
			draw_table(page, &document->taxes, MARGIN, content_width(page));
		page->y += 12;
		draw_table(page, &document->totals, totals_x, width);
	}
	page->y += 12;
}

static void
draw_end(Page *page)
{
	const QzpayPdfDocument *document = page->document;

	if (document->notes.lines.n > 0)
	{
		need(page, 40);
		tag_begin(page, "Sect");
		draw_text(page, document->notes.label, FONT_LABEL, grey, MARGIN, content_width(page), SIDE_START, 1, "H2");
		page->y += 3;
		for (int n = 0; n < document->notes.lines.n; n++)
		{
			draw_text(page, document->notes.lines.items[n], FONT_TEXT, black, MARGIN, content_width(page), SIDE_START, 0, "P");
			page->y += 6;
		}
		tag_end(page, "Sect");
		page->y += 10;
	}
	if (is_there(document->footer))
	{
		need(page, 30);
		draw_rule(page, MARGIN, page->y, content_width(page), 0.5, rule_ink);
		page->y += 8;
		draw_text(page, document->footer, FONT_SMALL, grey, MARGIN, content_width(page), SIDE_START, 0, "P");
	}
}

/* One pass over the document; the pages it took. */
static int
draw_document(Page *page, cairo_surface_t *logo, int pages)
{
	page->pages = pages;
	page->number = 1;
	page->y = MARGIN;
	page->table = NULL;
	tag_begin(page, "Document");
	draw_head(page, logo);
	draw_parties(page);
	draw_table(page, &page->document->lines, MARGIN, content_width(page));
	draw_sums(page);
	draw_end(page);
	tag_end(page, "Document");
	end_page(page);
	return page->number;
}

static cairo_status_t
write_result(void *closure, const unsigned char *bytes, unsigned int size)
{
	QzpayPdfResult *result = closure;

	if (result->size + size > result->capacity)
	{
		size_t		capacity = (result->size + size) * 2;
		unsigned char *grown = realloc(result->bytes, capacity);

		if (grown == NULL)
			return CAIRO_STATUS_NO_MEMORY;
		result->bytes = grown;
		result->capacity = capacity;
	}
	memcpy(result->bytes + result->size, bytes, size);
	result->size += size;
	return CAIRO_STATUS_SUCCESS;
}

/* Whether there is any font: without one Pango ends the process. */
static bool
has_fonts(void)
{
	FcFontSet  *set;

	if (!FcInit())
		return false;
	set = FcConfigGetFonts(NULL, FcSetSystem);
	return set != NULL && set->nfont > 0;
}

static void
set_metadata(cairo_surface_t *surface, const QzpayPdfDocument *document)
{
	cairo_pdf_surface_set_metadata(surface, CAIRO_PDF_METADATA_TITLE, document->heading);
	if (is_there(document->author))
		cairo_pdf_surface_set_metadata(surface, CAIRO_PDF_METADATA_AUTHOR, document->author);
	if (is_there(document->creator))
		cairo_pdf_surface_set_metadata(surface, CAIRO_PDF_METADATA_CREATOR, document->creator);
	if (is_there(document->created))
		cairo_pdf_surface_set_metadata(surface, CAIRO_PDF_METADATA_CREATE_DATE, document->created);
}

/*
 * qzpay_pdf_layout
 *		Lay a document out as PDF; NULL, or what went wrong.
 *
 * Pango may start threads for looking up fonts: the caller blocks its signals, so that none is served there.
 */
const char *
qzpay_pdf_layout(const QzpayPdfDocument *document, QzpayPdfResult *result)
{
	Page		page = {.document = document};
	cairo_surface_t *surface;
	cairo_surface_t *logo;
	PangoContext *context;
	cairo_font_options_t *options;
	cairo_status_t status;
	int			pages;

	memset(result, 0, sizeof(*result));
	if (!has_fonts())
		return "no font is installed";
	page.width = document->letter ? LETTER_WIDTH : A4_WIDTH;
	page.height = document->letter ? LETTER_HEIGHT : A4_HEIGHT;
	surface = cairo_pdf_surface_create_for_stream(write_result, result, page.width, page.height);
	set_metadata(surface, document);
	page.cairo = cairo_create(surface);
	page.layout = pango_cairo_create_layout(page.cairo);
	context = pango_layout_get_context(page.layout);
	pango_context_set_language(context, pango_language_from_string(document->lang));
	pango_context_set_base_dir(context, document->rtl ? PANGO_DIRECTION_RTL : PANGO_DIRECTION_LTR);
	/* Glyphs stand where they belong, not on the pixels of a screen. */
	pango_context_set_round_glyph_positions(context, FALSE);
	options = cairo_font_options_create();
	cairo_font_options_set_hint_style(options, CAIRO_HINT_STYLE_NONE);
	cairo_font_options_set_hint_metrics(options, CAIRO_HINT_METRICS_OFF);
	pango_cairo_context_set_font_options(context, options);
	cairo_font_options_destroy(options);
	pango_layout_set_wrap(page.layout, PANGO_WRAP_WORD_CHAR);
	for (int font = 0; font < FONT_COUNT; font++)
	{
		page.fonts[font] = pango_font_description_from_string(FAMILY);
		pango_font_description_set_absolute_size(page.fonts[font], font_kinds[font].size * PANGO_SCALE);
		pango_font_description_set_weight(page.fonts[font], font_kinds[font].bold ? PANGO_WEIGHT_BOLD : PANGO_WEIGHT_NORMAL);
	}
	logo = qzpay_pdf_logo(document->logo, document->logo_size);

	pages = draw_document(&page, logo, 0);
	if (!page.stopped)
		draw_document(&page, logo, pages);
	result->pages = pages;
	result->interrupted = page.stopped;

	if (logo != NULL)
		cairo_surface_destroy(logo);
	for (int font = 0; font < FONT_COUNT; font++)
		pango_font_description_free(page.fonts[font]);
	g_object_unref(page.layout);
	status = cairo_status(page.cairo);
	cairo_destroy(page.cairo);
	cairo_surface_finish(surface);
	if (status == CAIRO_STATUS_SUCCESS)
		status = cairo_surface_status(surface);
	cairo_surface_destroy(surface);
	return status == CAIRO_STATUS_SUCCESS ? NULL : cairo_status_to_string(status);
}
