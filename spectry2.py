import sys,time
from bcr.scenario import read_scenario
from pathlib import Path
from bcr_spec.recording import Recorded
from bcr_spec.following import departures
for f in sys.argv[1:]:
    if "published" in f: continue
    sc,_=read_scenario(Path(f))
    t0=time.time()
    if sc.authentication!='ed25519' or sc.acceptance!='all': print(f,'skip'); continue
    try: Recorded(sc)
    except Exception as e: print(f,'cannot',str(e)[:60]); continue
    run=Recorded(sc); o=run.outcome(); t1=time.time()
    d=departures(run)
    print(f,o.breaches,o.judgement.status,len(o.record.reconfigurations),round(t1-t0,2),round(time.time()-t1,2))
    for x in d[:6]: print('   ',str(x)[:700])
