// A real workload of node-postgres through transaction pooling.  usage: node.js HOST PORT USER DATABASE
const {Client, Pool} = require('pg');
const assert = require('assert');
const [host, port, user, database] = process.argv.slice(2);
const where = {host, port: Number(port), user, database};

async function main() {
    const c = new Client(where);
    await c.connect();
    await c.query('drop table if exists driver_node; create table driver_node(i int primary key, t text)');
    for (let i = 0; i < 50; i++)
        await c.query({name: 'insert', text: 'insert into driver_node values ($1, $2)', values: [i, `text ${i}`]});
    for (let i = 0; i < 50; i++) {
        const r = await c.query({name: 'get', text: 'select t from driver_node where i = $1', values: [i]});
        assert.strictEqual(r.rows[0].t, `text ${i}`);
    }
    await assert.rejects(c.query('select 1 / $1::int', [0]), {code: '22012'});
    await assert.rejects(c.query({name: 'bad', text: 'select nonsense'}), {code: '42703'});
    const many = await Promise.all(Array.from({length: 100}, (_, i) => c.query('select $1::int as i', [i])));
    assert.deepStrictEqual(many.map(r => r.rows[0].i), Array.from({length: 100}, (_, i) => i));
    await c.query('begin');
    await c.query('delete from driver_node where i < 10');
    await c.query('rollback');
    assert.strictEqual((await c.query('select count(*)::int as n from driver_node')).rows[0].n, 50);
    const slow = new Client(where);
    await slow.connect();
    const sleep = slow.query('select pg_sleep(20)');
    setTimeout(() => { const k = new Client(where); k.cancel(slow, slow.activeQuery); }, 300);
    await assert.rejects(sleep, {code: '57014'});
    await slow.end();
    const pool = new Pool({...where, max: 20});
    const answers = await Promise.all(Array.from({length: 500}, (_, i) =>
        pool.query({name: `n${i % 7}`, text: `select $1::int + ${i % 7} as i`, values: [i]})));
    answers.forEach((r, i) => assert.strictEqual(r.rows[0].i, i + i % 7));
    await pool.end();
    await c.query('drop table driver_node');
    await c.end();
    console.log('done');
}

main().catch(e => { console.error(e); process.exit(1); });
