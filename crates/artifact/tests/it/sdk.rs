use flash_artifact::sdk;

#[test]
fn it_appears_once_complete_and_without_caches() {
    let folder = tempfile::tempdir().unwrap();
    let parent = folder.path().join("sdk");
    let places: Vec<_> = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..4).map(|_| scope.spawn(|| sdk::materialize(&parent).unwrap())).collect();
        writers.into_iter().map(|writer| writer.join().unwrap()).collect()
    });
    assert!(places.iter().all(|place| *place == parent.join(&sdk::digest()[..16])));
    assert_eq!(std::fs::read_dir(&parent).unwrap().count(), 1);
    for path in sdk::paths() {
        assert!(places[0].join(path).is_file(), "{path}");
        assert!(path.ends_with(".py") || path.ends_with("/py.typed"), "{path}");
    }
}

#[test]
fn what_is_there_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let place = sdk::materialize(folder.path()).unwrap();
    std::fs::write(place.join("mark"), "").unwrap();
    assert_eq!(sdk::materialize(folder.path()).unwrap(), place);
    assert!(place.join("mark").is_file());
}
