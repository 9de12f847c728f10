CREATE OR REPLACE TRIGGER a_base_url BEFORE INSERT OR UPDATE OF base_url ON qzpay.providers FOR EACH ROW
    WHEN (NEW.base_url IS NOT NULL) EXECUTE FUNCTION qzpay._check_base_url();
