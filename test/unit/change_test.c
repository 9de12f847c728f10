/*
 * change_test.c
 *		Direction of changes.
 */
#include "core/change.h"
#include "tap.h"

static void
check(QzpayOffer from, QzpayOffer to, int price_order, int expected, const char *what)
{
	tap_int(qzpay_change_direction(&from, &to, price_order), expected, "%s", what);
}

int
main(void)
{
	QzpayOffer	starter = {true, 1, QZPAY_UNIT_MONTH, 1, 1};
	QzpayOffer	pro = {true, 2, QZPAY_UNIT_MONTH, 1, 1};
	QzpayOffer	pro_yearly = {true, 2, QZPAY_UNIT_YEAR, 1, 1};
	QzpayOffer	pro_twelve = {true, 2, QZPAY_UNIT_MONTH, 12, 1};
	QzpayOffer	pro_weekly = {true, 2, QZPAY_UNIT_WEEK, 4, 1};
	QzpayOffer	pro_daily = {true, 2, QZPAY_UNIT_DAY, 365, 1};
	QzpayOffer	nothing = {true, 2, QZPAY_UNIT_DAY, 0, 1};
	QzpayOffer	pro_five = {true, 2, QZPAY_UNIT_MONTH, 1, 5};
	QzpayOffer	unranked = {false, 9, QZPAY_UNIT_MONTH, 1, 1};

	check(starter, pro, -1, QZPAY_UPGRADE, "a higher rank is an upgrade, whatever it costs");
	check(pro, starter, 1, QZPAY_DOWNGRADE, "a lower rank is a downgrade");
	check(pro_yearly, starter, 0, QZPAY_DOWNGRADE, "the rank stands before the interval");
	check(pro, pro_yearly, -1, QZPAY_UPGRADE, "a longer interval is an upgrade");
	check(pro_yearly, pro, 1, QZPAY_DOWNGRADE, "a shorter one is a downgrade");
	check(pro_yearly, pro_twelve, 0, QZPAY_LATERAL, "twelve months are a year");
	check(pro, pro_weekly, 0, QZPAY_DOWNGRADE, "four weeks are shorter than a month");
	check(pro_yearly, pro_daily, 0, QZPAY_LATERAL, "a year is 365 days");
	check(pro, nothing, 0, QZPAY_LATERAL, "no interval at all is not compared");
	check(nothing, pro, 0, QZPAY_LATERAL, "nor from none");
	check(pro, pro_five, 0, QZPAY_UPGRADE, "more of it is an upgrade");
	check(pro_five, pro, 0, QZPAY_DOWNGRADE, "less of it is a downgrade");
	check(starter, unranked, 1, QZPAY_UPGRADE, "without a rank the price decides: dearer");
	check(unranked, starter, -1, QZPAY_DOWNGRADE, "cheaper");
	check(pro, pro, 0, QZPAY_LATERAL, "nothing changes");
	return tap_done();
}
