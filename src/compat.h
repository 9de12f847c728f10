/*
 * compat.h
 *		Every difference between the server versions that the code has to know.  Nothing here takes a name of the server.
 */
#ifndef QZPAY_COMPAT_H
#define QZPAY_COMPAT_H

#if defined(PG_VERSION_NUM) && PG_VERSION_NUM < 150000
#error "qzpay needs PostgreSQL 15 or later"
#endif

/* 16 split the ACL checks by object class into object_aclcheck(). */
#if PG_VERSION_NUM < 160000
#define qzpay_function_aclcheck_compat(oid, role) pg_proc_aclcheck((oid), (role), ACL_EXECUTE)
#define qzpay_relation_ownercheck_compat(oid, role) pg_class_ownercheck((oid), (role))
#else
#define qzpay_relation_ownercheck_compat(oid, role) object_ownercheck(RelationRelationId, (oid), (role))
#define qzpay_function_aclcheck_compat(oid, role) object_aclcheck(ProcedureRelationId, (oid), (role), ACL_EXECUTE)
#endif

/* 16 renamed the numbers of files. */
#if PG_VERSION_NUM < 160000
#define qzpay_file_number_compat(relation) ((relation)->rd_node.relNode)
#define qzpay_new_file_compat(relation) ((relation)->rd_firstRelfilenodeSubid != InvalidSubTransactionId)
#define qzpay_file_compat(relation) ((relation)->rd_node)
#else
#define qzpay_file_number_compat(relation) ((relation)->rd_locator.relNumber)
#define qzpay_new_file_compat(relation) ((relation)->rd_firstRelfilelocatorSubid != InvalidSubTransactionId)
#define qzpay_file_compat(relation) ((relation)->rd_locator)
#endif

/* 18 added an instrumentation argument to index_beginscan(). */
#if PG_VERSION_NUM < 180000
#define qzpay_index_beginscan_compat(heap, index, snapshot, nkeys) index_beginscan((heap), (index), (snapshot), (nkeys), 0)
#else
#define qzpay_index_beginscan_compat(heap, index, snapshot, nkeys) index_beginscan((heap), (index), (snapshot), NULL, (nkeys), 0)
#endif

/* 16 has BRIN indexes that an update may leave to themselves. */
#if PG_VERSION_NUM < 160000
#define qzpay_update_indexes_compat bool
#define qzpay_insert_index_tuples_compat(result, slot, estate, no_error, conflict) \
	ExecInsertIndexTuples((result), (slot), (estate), false, (no_error), (conflict), NIL)
#else
#define qzpay_update_indexes_compat TU_UpdateIndexes
#define qzpay_insert_index_tuples_compat(result, slot, estate, no_error, conflict) \
	ExecInsertIndexTuples((result), (slot), (estate), false, (no_error), (conflict), NIL, false)
#endif

/* 15 had InitMaterializedSRF() under another name at first; 16 tells a decoder's caller more about errors. */
#if PG_VERSION_NUM < 160000
#define qzpay_materialize_compat(fcinfo) SetSingleFuncCall((fcinfo), 0)
#define qzpay_decode_datetime_compat(field, type, n, kind, tm, fsec, zone) \
	DecodeDateTime((field), (type), (n), (kind), (tm), (fsec), (zone))
#else
#define qzpay_materialize_compat(fcinfo) InitMaterializedSRF((fcinfo), 0)
#define qzpay_decode_datetime_compat(field, type, n, kind, tm, fsec, zone) \
	DecodeDateTime((field), (type), (n), (kind), (tm), (fsec), (zone), &(DateTimeErrorExtra) {0})
#endif

#endif							/* QZPAY_COMPAT_H */
