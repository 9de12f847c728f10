-- The catalog kept in each backend is dropped with the commit of whatever changes it.
CREATE OR REPLACE TRIGGER invalidate AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON qzpay.products
    FOR EACH STATEMENT EXECUTE FUNCTION qzpay._invalidate_catalog();
CREATE OR REPLACE TRIGGER invalidate AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON qzpay.product_features
    FOR EACH STATEMENT EXECUTE FUNCTION qzpay._invalidate_catalog();
CREATE OR REPLACE TRIGGER invalidate AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON qzpay.product_relations
    FOR EACH STATEMENT EXECUTE FUNCTION qzpay._invalidate_catalog();
CREATE OR REPLACE TRIGGER invalidate AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON qzpay.features
    FOR EACH STATEMENT EXECUTE FUNCTION qzpay._invalidate_catalog();
CREATE OR REPLACE TRIGGER invalidate AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON qzpay.meters
    FOR EACH STATEMENT EXECUTE FUNCTION qzpay._invalidate_catalog();
CREATE OR REPLACE TRIGGER invalidate AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON qzpay.charges
    FOR EACH STATEMENT EXECUTE FUNCTION qzpay._invalidate_catalog();
CREATE OR REPLACE TRIGGER invalidate AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON qzpay.settings
    FOR EACH STATEMENT EXECUTE FUNCTION qzpay._invalidate_catalog();

-- What somebody has subscribed to never changes; it only stops being sold.
CREATE OR REPLACE TRIGGER guard_columns BEFORE UPDATE ON qzpay.prices
    FOR EACH ROW EXECUTE FUNCTION qzpay._guard_columns('active');
CREATE OR REPLACE TRIGGER guard_columns BEFORE UPDATE ON qzpay.charges
    FOR EACH ROW EXECUTE FUNCTION qzpay._guard_columns('active', 'retired_at');
