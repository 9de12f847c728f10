CREATE OR REPLACE TRIGGER keep_version AFTER UPDATE ON qzpay.sellers FOR EACH ROW
    WHEN ((OLD.name, OLD.tax_id, OLD.address, OLD.timezone) IS DISTINCT FROM (NEW.name, NEW.tax_id, NEW.address, NEW.timezone)) EXECUTE FUNCTION qzpay._keep_seller_version();
