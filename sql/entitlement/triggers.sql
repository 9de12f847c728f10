CREATE OR REPLACE TRIGGER entitlements_insert AFTER INSERT ON qzpay.subscriptions
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION qzpay._subscriptions_changed();
CREATE OR REPLACE TRIGGER entitlements_update AFTER UPDATE ON qzpay.subscriptions
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION qzpay._subscriptions_changed();
CREATE OR REPLACE TRIGGER entitlements_insert AFTER INSERT ON qzpay.subscription_items
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION qzpay._items_changed();
CREATE OR REPLACE TRIGGER entitlements_update AFTER UPDATE ON qzpay.subscription_items
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION qzpay._items_changed();
CREATE OR REPLACE TRIGGER entitlements_delete AFTER DELETE ON qzpay.subscription_items
    REFERENCING OLD TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION qzpay._items_changed();
CREATE OR REPLACE TRIGGER entitlements_insert AFTER INSERT ON qzpay.customers
    REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION qzpay._customers_changed();
CREATE OR REPLACE TRIGGER entitlements_update AFTER UPDATE ON qzpay.customers
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION qzpay._customers_changed();
