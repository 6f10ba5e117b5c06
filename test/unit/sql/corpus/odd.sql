-- Texts that are easily read wrong.
;
 ;; ;
/* only a comment */ ;
select /* ; */ 1 -- ; set a = 1
;
select '; set a.b = 1', ";", $$; set a.b = 1$$, $x$ $$;$x$;
select 1/*/* nested ; */*/+/**/2;
select a$b, $1a, 1a, 1.a, a.b.c.d, "a""b", "", 'it''s', E'it\'s; \\', e'\x41\u0042\103' from t;
select U&"\0061", U&'\+000061', U&"a!0062" UESCAPE '!', "Mixed Case", ümlaut, "set_config", "pg_temp", "uescape" from t;
select 'a' -- comment between
'b', 'c';
select 1--1
+2;
select 1 - -1, 1*-1, 1 <-1, @-1, 2!=-3, a->'b'->>'c', a#>>'{}', a@>b, a?b, a?|b, a||b from t;
select a.set_config, set_config, t.temp, temp from t;
select temp, temporary from pg_temp;
insert into temp (temp) values (1);
select x.temp into y from x;
select into temp from x;
select set_config from t group by set_config;
select f(set_config('x.y', 'z', false)), 'set_config(''a'', ''b'', false)' from t;
select pg_catalog /* a */ . -- b
  set_config ( /* c */ 'x.y' , 'z' , false );
SELECT SET_CONFIG('X.Y', 'z', FALSE);
select over(1), filter(1), by(1), within(1), left('a', 1), "in"(1), s.in(1), join(1), like(1, 2);
select distinct on (a) over(1) from t;
select case when by(1) then (1) end from t order by (a), (b) group;
select x::a(1), x::a.b(2), cast(x as a(1)), x[1:f(2)], x[f(1):2] from t;
with by(a) as (select 1), over(b) as (select 2) select * from by, over;
insert into over(a) values (1);
insert into a.b.c(a) values (1);
table pg_settings;
update "pg_settings" set setting = 1;
update s.pg_settings set setting = 1;
with x as (update pg_settings set setting = 1 returning *) select * from x;
select * from f(1), s.g(2) as x(a), lateral h(3) with ordinality, rows from (i(4), j(5) as (a int)) k;
select f.g(1).h from t;
select (f.g(1)).h, (t).f, t.f from t;
prepare/**/"a b"/* c */as select 1; execute "a b"; deallocate/**/"a b";
explain (verbose) /* execute x */ execute /* y */ "z"(1);
create table "as" as execute "as";
create table if not exists t with (fillfactor = 10) as execute t;
deallocate prepare prepare;
begin; set local a = 1; select 1; set a = 2; commit;
select 1; selec 2;
selec 1;
