import { start, median } from './processes.mjs'
import { mkdtempSync } from 'node:fs'
process.env.BENCH_FILE_FOLDER ??= mkdtempSync('/tmp/scb-')
process.env.BENCH_FILE_PLACE='shared'
for (const name of process.argv.slice(2)) {
const children = Array.from({length:4},()=>start(name))
for (const c of children) await c.ask('fill',{count:10000})
const rate=async k=>{const f=performance.now(); const r=await Promise.all(children.slice(0,k).map(c=>c.ask('round',{row:'get',count:100000,population:10000,concurrency:64,first:false}))); return [100000*k/(performance.now()-f), r[0]]}
for(let i=0;i<4;i++){const [a,ra]=await rate(1),[b]=await rate(2),[c,rc]=await rate(4); if(i) console.log(name,a.toFixed(0),b.toFixed(0),c.toFixed(0),(b/a).toFixed(2),(c/a).toFixed(2),'cpu1',ra.cpu,'wall1',ra.wall,'cpu4',rc.cpu)}
children.forEach(c=>c.stop())
}
process.exit()
