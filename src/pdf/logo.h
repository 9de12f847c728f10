/*
 * logo.h
 *		Pictures for a document.
 */
#ifndef QZPAY_PDF_LOGO_H
#define QZPAY_PDF_LOGO_H

#include <stddef.h>

#include <cairo.h>

extern cairo_surface_t *qzpay_pdf_logo(const unsigned char *bytes, size_t size);

#endif							/* QZPAY_PDF_LOGO_H */
