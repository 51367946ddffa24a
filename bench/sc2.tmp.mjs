import { start } from './processes.mjs'
import { mkdtempSync } from 'node:fs'
process.env.BENCH_FILE_FOLDER ??= mkdtempSync('/tmp/scb-')
const c=start(process.argv[2])
await c.ask('fill',{count:10000})
for(let i=0;i<6;i++){const r=await c.ask('round',{row:'get',count:200000,population:10000,concurrency:64,first:false}); console.log(r)}
c.stop(); process.exit()
