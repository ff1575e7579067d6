package engine_test

import (
	"fmt"
	"log"
	"os"
	"strconv"

	"tskv/engine"
	"tskv/kv"
)

// Example opens a store, writes a series and a topic, changes a counter, and
// reads all of it back.
func Example() {
	dir, err := os.MkdirTemp("", "tskv")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	db, err := engine.Open(dir, engine.Options{})
	if err != nil {
		log.Fatal(err)
	}

	// A batch becomes durable and visible as one.
	var b engine.Batch
	b.Put([]byte("room:temp"), kv.ID{Time: 1000}, []byte("21.50"))
	b.Put([]byte("room:temp"), kv.ID{Time: 2000}, []byte("21.75"))
	b.Append([]byte("events"), []byte(`{"door":"open"}`))
	if err := db.Apply(&b); err != nil {
		log.Fatal(err)
	}

	// An Update reads and writes with nothing in between.
	for range 3 {
		err := db.Update(func(tx *engine.Tx) error {
			rec, _, err := tx.Newest([]byte("visits"), kv.MaxID)
			if err != nil {
				return err
			}
			n, _ := strconv.Atoi(string(rec.Value)) // none counts as 0
			return tx.Put(&engine.Op{Key: []byte("visits"), Value: strconv.AppendInt(nil, int64(n+1), 10)})
		}, []byte("visits"))
		if err != nil {
			log.Fatal(err)
		}
	}

	rec, ok, err := db.Get([]byte("room:temp"), kv.ID{Time: 1500}, nil)
	fmt.Println(rec.ID, string(rec.Value), ok, err)
	rec, _, _ = db.Get([]byte("visits"), kv.MaxID, nil)
	fmt.Println("visits", string(rec.Value), "keys", db.Keys())
	fmt.Println("close", db.Close())
	// Output:
	// 1000-0 21.50 true <nil>
	// visits 3 keys 3
	// close <nil>
}

// ExampleSnapshot_Scan reads a range from a state that later writes do not change.
func ExampleSnapshot_Scan() {
	dir, err := os.MkdirTemp("", "tskv")
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	db, err := engine.Open(dir, engine.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer func() { _ = db.Close() }()
	write := func(at uint64, value string) {
		var b engine.Batch
		b.Put([]byte("power"), kv.ID{Time: at}, []byte(value))
		if err := db.Apply(&b); err != nil {
			log.Fatal(err)
		}
	}
	for i := range uint64(4) {
		write(i*10, strconv.Itoa(int(i)))
	}
	snap, err := db.Snapshot()
	if err != nil {
		log.Fatal(err)
	}
	defer snap.Release()
	write(25, "too late for the snapshot")

	scan, err := snap.Scan([]byte("power"), engine.ScanOptions{From: kv.ID{Time: 10}, To: kv.MaxID, Reverse: true})
	if err != nil {
		log.Fatal(err)
	}
	defer scan.Close()
	for {
		rows, err := scan.Next()
		if err != nil {
			log.Fatal(err)
		}
		if rows == nil {
			break
		}
		for i := range rows.Len() {
			row := rows.Row(i)
			fmt.Printf("%s %s\n", row.ID, row.AppendValue(nil))
		}
	}
	// Output:
	// 30-0 3
	// 20-0 2
	// 10-0 1
}
