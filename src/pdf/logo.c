/*
 * logo.c
 *		Pictures for a document.
 */
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "pdf/logo.h"

/* No logo is larger; decoding what claims to be would take the memory. */
#define LOGO_PIXELS_MAX 4000

/* A PNG file in memory, for Cairo's reader. */
typedef struct Source
{
	const unsigned char *at;
	size_t		left;
} Source;

static cairo_status_t
read_source(void *closure, unsigned char *to, unsigned int size)
{
	Source	   *source = closure;

	if (size > source->left)
		return CAIRO_STATUS_READ_ERROR;
	memcpy(to, source->at, size);
	source->at += size;
	source->left -= size;
	return CAIRO_STATUS_SUCCESS;
}

static uint32_t
big_endian(const unsigned char *at, int bytes)
{
	uint32_t	value = 0;

	for (int n = 0; n < bytes; n++)
		value = value << 8 | at[n];
	return value;
}

/* Size of a JPEG picture, from its frame header; false if there is none. */
static bool
jpeg_size(const unsigned char *bytes, size_t size, uint32_t *width, uint32_t *height)
{
	size_t		at = 2;

	if (size < 4 || bytes[0] != 0xFF || bytes[1] != 0xD8)
		return false;
	while (at + 9 < size && bytes[at] == 0xFF)
	{
		unsigned char marker = bytes[at + 1];

		if (marker >= 0xC0 && marker <= 0xC2)
		{
			*height = big_endian(bytes + at + 5, 2);
			*width = big_endian(bytes + at + 7, 2);
			return true;
		}
		at += 2 + big_endian(bytes + at + 2, 2);
	}
	return false;
}

/*
 * qzpay_pdf_logo
 *		The picture of a PNG or JPEG file as a surface; NULL for one that can't be shown.  The bytes have to outlive it.
 */
cairo_surface_t *
qzpay_pdf_logo(const unsigned char *bytes, size_t size)
{
	static const unsigned char png[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};
	Source		source = {bytes, size};
	cairo_surface_t *surface;
	uint32_t	width;
	uint32_t	height;

	if (bytes == NULL || size < 24)
		return NULL;
	if (memcmp(bytes, png, sizeof(png)) == 0)
	{
		width = big_endian(bytes + 16, 4);
		height = big_endian(bytes + 20, 4);
		if (width == 0 || height == 0 || width > LOGO_PIXELS_MAX || height > LOGO_PIXELS_MAX)
			return NULL;
		surface = cairo_image_surface_create_from_png_stream(read_source, &source);
	}
	else
	{
		if (!jpeg_size(bytes, size, &width, &height) || width == 0 || height == 0 || width > LOGO_PIXELS_MAX ||
			height > LOGO_PIXELS_MAX)
			return NULL;
		/* The file goes into the document as it is; the surface only says how large it is. */
		surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, (int) width, (int) height);
		if (cairo_surface_status(surface) == CAIRO_STATUS_SUCCESS)
			cairo_surface_set_mime_data(surface, CAIRO_MIME_TYPE_JPEG, bytes, size, NULL, NULL);
	}
	if (cairo_surface_status(surface) == CAIRO_STATUS_SUCCESS)
		return surface;
	cairo_surface_destroy(surface);
	return NULL;
}
