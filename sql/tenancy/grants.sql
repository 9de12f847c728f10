-- Who may do what: two lists, tables and functions.  Levels: tenant (every group), app (app, worker, admin), worker (worker, admin), admin.
-- qzpay_admin is a member of qzpay_worker.  Nothing is for PUBLIC.  A name that isn't there is a table or function still to come.

REVOKE ALL ON ALL TABLES IN SCHEMA qzpay FROM PUBLIC, qzpay_admin, qzpay_worker, qzpay_app, qzpay_tenant;
REVOKE ALL ON ALL ROUTINES IN SCHEMA qzpay FROM PUBLIC, qzpay_admin, qzpay_worker, qzpay_app, qzpay_tenant;

DO $$
DECLARE
    r record;
BEGIN
    FOR r IN
        WITH rights (roles, privileges, tables) AS (VALUES
            -- what a tenant may read of itself, and the catalog
            ('qzpay_app, qzpay_tenant', 'SELECT', 'balance_entries balances customers dunning_cases entitlements events invoice_lines invoice_parties invoice_shares invoices ledger_transfers limit_counters pending_lines periods
                invoice_discounts redemptions subscription_changes subscription_items subscriptions tenants transitions usage_alerts usage_events usage_totals payment_attempts payment_methods usage_archived usage_late usage_marks usage_values entitlement_overrides limit_slots overages payments
                charges event_types features ledger_accounts meters prices product_features product_relations products credit_grants credit_note_lines credit_notes grant_uses refund_requests audit_entries audit_personal'),
            -- append-only
            ('qzpay_worker', 'INSERT', 'balance_entries events invoice_discounts invoice_parties ledger_transfers transitions usage_events usage_late usage_values credit_note_lines credit_notes grant_uses'),
            -- what runs, jobs and settlements write
            ('qzpay_worker', 'INSERT, UPDATE', 'balances billing_errors revenue_schedules customers dunning_cases entitlements invoice_lines invoice_series invoices payment_attempts
                payment_methods payments periods redemptions sandbox_charges sandbox_refunds subscription_changes subscription_items subscriptions tenants usage_alerts usage_totals credit_grants refund_requests tax_answers'),
            ('qzpay_worker', 'UPDATE', 'discounts jobs providers test_clocks'),
            ('qzpay_worker', 'INSERT, UPDATE', 'usage_archived usage_marks'),
            ('qzpay_worker', 'DELETE', 'usage_values'),
            ('qzpay_worker', 'INSERT, UPDATE, DELETE', 'entitlement_overrides idempotency_keys invoice_shares limit_counters limit_slots overages pending_lines workers'),
            ('qzpay_worker', 'DELETE', 'invoice_lines invoices periods subscription_items'),
            -- what staff decides
            ('qzpay_admin', 'INSERT, UPDATE, DELETE', 'meter_queries charges discounts document_texts dunning_policies dunning_steps epochs event_types features jobs meters prices product_features tax_rates
                product_relations products provider_limits providers sellers settings tenant_roles test_clocks')),
        -- Tokens and references of providers are for staff only.
        hidden (name, columns) AS (VALUES
            ('payment_attempts'::name, '{request,provider_ref,idempotency_key}'::name[]),
            ('payment_methods', '{token}'),
            ('payments', '{provider_ref}'))
        SELECT g.roles,
               CASE WHEN h.columns IS NULL OR g.roles = 'qzpay_worker' OR g.roles = 'qzpay_admin' THEN g.privileges
                    ELSE format('%s (%s)', g.privileges, (SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM pg_catalog.pg_attribute a
                                                         WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attname <> ALL (h.columns))) END AS privileges,
               c.oid::regclass AS name
        FROM rights g
        CROSS JOIN LATERAL regexp_split_to_table(g.tables, '\s+') AS t (name)
        JOIN pg_catalog.pg_class c ON c.relname = t.name AND c.relnamespace = 'qzpay'::regnamespace AND c.relkind IN ('r', 'p')
        LEFT JOIN hidden h ON h.name = c.relname
        UNION ALL
        -- Partitions have no rights of their own: they are reached through their parent.
        SELECT 'qzpay_worker', 'SELECT', c.oid::regclass FROM pg_catalog.pg_class c
        WHERE c.relnamespace = 'qzpay'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
        UNION ALL
        -- Views are security_invoker, so they show what their reader may read.
        SELECT 'qzpay_worker, qzpay_app, qzpay_tenant', 'SELECT', c.oid::regclass FROM pg_catalog.pg_class c
        WHERE c.relnamespace = 'qzpay'::regnamespace AND c.relkind = 'v'
        ORDER BY 3, 1, 2
    LOOP
        EXECUTE format('GRANT %s ON %s TO %s', r.privileges, r.name, r.roles);
    END LOOP;

    FOR r IN
        WITH levels (roles, functions) AS (VALUES
            -- tenant
            ('qzpay_worker, qzpay_app, qzpay_tenant', 'current_tenant enter library_version now schema_version uuid_v5 uuid_v7
                contains_pan currency_exponent format_amount interval_parse period_boundary prorate rate_usage redact round_amount split_amount status_allowed usage_amount usage_tiers
                apply_discounts explain_discount validate_promo_code
                feature_value list_entitlements overage_state export_customer replace_payment_method update_payment_method
                check_limit check_overage feature_limit has_access has_entitlement require_active_subscription require_entitlement require_limit
                usage_history usage_summary
                attach_payment_method cancel cancel_scheduled_change detach_payment_method invoice_html pay_invoice preview_change preview_invoice set_default_payment_method invoice_line_events invoice_line_events_csv usage_breakdown usage_report usage_violations credit_note_document credit_note_html credit_note_pdf invoice_document invoice_pdf uncancel tax_amounts'),
            -- app
            ('qzpay_worker, qzpay_app', 'installation_id set_tenant _issue_token
                sync_customer subscribe change_plan pause resume extend_trial end_trial add_addon set_addon_quantity remove_addon set_auto_renew set_item_terms
                update_customer delete_customer acquire_slot check_rate release_slot renew_slot require_rate require_slot set_entitlement clear_entitlement
                enforce_limit add_limit recount_limit record_usage record_usage_batch
                charge add_invoice_line create_invoice finalize_invoice
                dry_run receive_webhook redeem_promo_code remove_discount setting delete_draft_invoice remove_invoice_line set_billing_details statement trial_balance'),
            -- worker
            ('qzpay_worker', 'deliver is_live run_billing run_due_jobs sandbox_outcome sandbox_request stripe_outcome stripe_request sandbox_tax'),
            -- admin
            ('qzpay_admin', 'erase_customer restrict unrestrict
                advance_test_clock check_config check_integrity churn comp create_test_clock credit_invoice doctor env_example export_catalog go_live grant_access
                import_catalog import_subscription link_subscription migrate_subscriptions sync_subscription mrr pause_provider refund replay_webhook resolve_attempt resume_provider retry_billing sandbox_authenticate sandbox_set_token set_meter_query set_setting void_invoice
                adjust_balance cancel_refund end_tax_rate preview_billing recognize_revenue grant_credit seal_audit_log verify_audit_log mark_uncollectible record_refund refund_balance retry_refund reissue_invoice set_tax_rate'))
        SELECT g.roles, p.oid::regprocedure AS name
        FROM levels g
        CROSS JOIN LATERAL regexp_split_to_table(g.functions, '\s+') AS f (name)
        JOIN pg_catalog.pg_proc p ON p.proname = f.name AND p.pronamespace = 'qzpay'::regnamespace
        UNION ALL
        -- Internals, but for trigger functions: whoever may put one on a table of his own would run it with rows he made up; nor may
        -- anybody but triggers write down what somebody did.
        SELECT 'qzpay_worker', p.oid::regprocedure FROM pg_catalog.pg_proc p
        WHERE p.pronamespace = 'qzpay'::regnamespace AND p.proname LIKE '\_%' AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
          AND p.proname <> '_write_audit'
        ORDER BY 2, 1
    LOOP
        EXECUTE format('GRANT EXECUTE ON ROUTINE %s TO %s', r.name, r.roles);
    END LOOP;
END $$;
