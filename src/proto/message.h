/*
 * proto/message.h - the kinds of messages and how long each may be
 *
 * Source:     PostgreSQL docs, protocol-message-formats; limits from the server's SocketBackend()
 * Threading:  pure
 */
#ifndef PROTO_MESSAGE_H
#define PROTO_MESSAGE_H

#include <stdbool.h>
#include <stdint.h>

enum { MESSAGE_HEADER = 5 }; /* kind and length word; the length counts itself but not the kind */

/* What a client sends after its startup packet. */
enum fe_kind {
    FE_BIND = 'B',
    FE_CLOSE = 'C',
    FE_COPY_DATA = 'd',
    FE_COPY_DONE = 'c',
    FE_COPY_FAIL = 'f',
    FE_DESCRIBE = 'D',
    FE_EXECUTE = 'E',
    FE_FLUSH = 'H',
    FE_FUNCTION_CALL = 'F',
    FE_PARSE = 'P',
    FE_PASSWORD = 'p', /* all authentication answers */
    FE_QUERY = 'Q',
    FE_SYNC = 'S',
    FE_TERMINATE = 'X',
};

/* What a server sends. */
enum be_kind {
    BE_AUTHENTICATION = 'R',
    BE_BACKEND_KEY_DATA = 'K',
    BE_BIND_COMPLETE = '2',
    BE_CLOSE_COMPLETE = '3',
    BE_COMMAND_COMPLETE = 'C',
    BE_COPY_BOTH_RESPONSE = 'W',
    BE_COPY_DATA = 'd',
    BE_COPY_DONE = 'c',
    BE_COPY_IN_RESPONSE = 'G',
    BE_COPY_OUT_RESPONSE = 'H',
    BE_DATA_ROW = 'D',
    BE_EMPTY_QUERY_RESPONSE = 'I',
    BE_ERROR_RESPONSE = 'E',
    BE_FUNCTION_CALL_RESPONSE = 'V',
    BE_NEGOTIATE_PROTOCOL_VERSION = 'v',
    BE_NO_DATA = 'n',
    BE_NOTICE_RESPONSE = 'N',
    BE_NOTIFICATION_RESPONSE = 'A',
    BE_PARAMETER_DESCRIPTION = 't',
    BE_PARAMETER_STATUS = 'S',
    BE_PARSE_COMPLETE = '1',
    BE_PORTAL_SUSPENDED = 's',
    BE_READY_FOR_QUERY = 'Z',
    BE_ROW_DESCRIPTION = 'T',
};

/* The transaction status of ReadyForQuery. */
enum { TXN_IDLE = 'I', TXN_OPEN = 'T', TXN_FAILED = 'E' };

/* May a client, once logged in, send a message of this kind at all? */
bool fe_kind_known(uint8_t kind);

/* Would PostgreSQL take a message of this kind with this length word?  The kind must be known. */
bool fe_length_ok(uint8_t kind, uint32_t length);

#endif
