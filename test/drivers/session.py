#!/usr/bin/python3
"""session.py HOST PORT USER DATABASE: runs the statements of standard input through psycopg 3, one a line,
each with parameters after a tab; prints what they return, whatever that is.  Autocommit, each statement is
prepared from its second use on."""
import sys

import psycopg

host, port, user, database = sys.argv[1:5]
with psycopg.connect(host=host, port=port, user=user, dbname=database, autocommit=True) as connection:
    connection.prepare_threshold = 1
    for line in sys.stdin:
        sql, *parameters = line.rstrip("\n").split("\t")
        try:
            cursor = connection.execute(sql, parameters or None)
            rows = cursor.fetchall() if cursor.description else []
            print(sql, "->", cursor.statusmessage, rows)
        except psycopg.Error as error:
            print(sql, "->", error.sqlstate)
print("done")
